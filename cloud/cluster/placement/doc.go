// Package placement decides which node should own which shard. It is pure: a
// View goes in, a Plan comes out, the same one on every node and architecture,
// so that nobody coordinates: each node computes the plan and carries out the
// moves that name it. No goroutine, no clock, no I/O.
//
// A shard ranks the nodes by weighted rendezvous hashing (rank.go). What a node
// weighs and how much it may hold follows from its capacity and its measured
// load (weigh.go). plan.go goes down the rank for shards that nobody serves, for
// those of draining nodes, and last, two at a time, for those that would be
// better off elsewhere. why.go says for each shard what decided.
//
// It does not know who lives (membership does), who owns (the log's barrier
// does, package cluster) and which site is in which shard (the catalog does). A
// plan that is computed from an old view is harmless: claims decide, not plans.
// DESIGN.md has the rules and what they promise.
package placement
