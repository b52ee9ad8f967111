// Package catalog is the cluster's configuration that every node agrees on:
// revisioned documents, each written by compare-and-set. It holds the cluster's
// identity and incarnation, the map from sites to shards, which is assigned
// data and never computed at use, and the documents that people write about
// sites, gateways, rooms, pipelines and firmware profiles.
//
//	Put -> document.Parse -> limits -> bucket (compare-and-set) -> watch -> cache -> Document, Of, Profile
//
// It does not own shards (cloud/cluster), issues no certificates
// (cloud/identity) and runs no document: a site's owner copies the rooms and
// pipelines into its log (Of, Changed). Reads come from a cache that a watch
// keeps; writes go to the bucket, and only their compare-and-set decides.
package catalog
