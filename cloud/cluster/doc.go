// Package cluster decides which node owns a shard, and carries I3: of all that
// claim a shard only one's records are accepted. A claim is a compare-and-set
// of the document shard.<s> to the next epoch, then a barrier in the shard's
// log on the condition of the barrier before it. Only that condition decides;
// the document tells others whom to ask.
//
// It does not place shards on nodes and does not recover a shard's state: the
// site's owner does, from Claim to Activate. machine.go is the protocol as a
// pure state machine; ownership.go performs what it asks for. DESIGN.md has the
// rules and what each crash leaves behind.
package cluster
