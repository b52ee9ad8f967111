// Package seat keeps on a node the shards that are to be there. A seat is a
// node's place at one shard: empty while another node has it, taken from the
// claim until the shard is lost, handed over or failed.
//
// What the node knows of the cluster (the map of owners, the nodes, the loads)
// goes through placement.Decide, the same on each node; of the moves those that
// name this node are carried out: a shard that nobody serves is claimed, one
// that is to leave is saved and offered. See decide.go, which is pure.
//
// It does not measure, does not know who lives, and decides nothing that is
// dangerous: two nodes that disagree both claim, and the log's barrier parts
// them (package cluster).
package seat
