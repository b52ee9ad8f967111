// Package history keeps what a shard's owner projects from the journal: raw
// columns, the windows and alarms of pipelines, the gap ledger and dead
// letters, in an embedded Badger store.
//
// Blocks of a frame arrive as the wire's columns and are stored as those
// bytes, under a key made of their identity, so that writing the same record
// again rewrites the same key (I1, I7). Readers get readings in order of time,
// merged over blocks and series. Every value carries a CRC over itself and its
// key: a flipped bit is an error, never a wrong value.
//
// It does not decide what is a duplicate or a gap, which the site has done
// before, and it does not know the journal: positions are numbers to it.
package history
