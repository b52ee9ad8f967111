// Package catalog is the cluster's configuration that every node agrees on:
// revisioned documents, each written by compare-and-set. It holds the cluster's
// identity and incarnation, and the map from sites to shards, which is assigned
// data and never computed at use.
//
// It does not own shards (cloud/cluster) and issues no certificates
// (cloud/identity). Reads come from a cache that a watch keeps; writes go to
// the bucket, and only their compare-and-set decides.
package catalog
