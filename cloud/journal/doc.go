// Package journal is the shard's log: the one place where a gateway's record
// becomes durable, and the one order in which an owner applies records. It
// embeds the NATS JetStream server, alone or as one of a cluster's core nodes,
// of which three hold each log, and keeps its names and errors to itself.
//
// It does not decide who owns a shard (cloud/cluster), does not look into a
// record's body (cloud/site), and does not drop duplicates: a batch whose ack
// was lost is published again, and the owner knows runs and sequences.
//
// The way of the data: the gate calls Coalescer.Append; a flusher joins what is
// queued into one message and publishes it through Log; JetStream fsyncs it
// (I2) and answers; the flusher calls each record's done. The owner reads the
// same messages, densely, with Log.Read, adds its own records with
// PublishFenced, stores snapshots in Objects, and purges the front. KV holds
// small documents under compare-and-set: ownership and the catalog.
//
// Bus stands beside that: messages between nodes that nobody stores.
package journal
