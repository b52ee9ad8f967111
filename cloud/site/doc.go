// Package site turns a shard's log into state: it is the one place where a
// record becomes a fact about a site.
//
// A Shard reads the journal in order. Each record is one turn of its site's
// actor group: the gateway actor judges sequences (gateway.Step), decodes the
// frame once, and tells each block to the device's twin (twin.State.Step), which
// tells its rooms (room.State.Step), and to the pipelines that read the device
// (pipeline.Pipeline.Step). Documents, intents, outbox records and results come
// as records too; a command leaves when its outbox record was applied
// (command.State.Step). What a turn leaves for history is collected and written
// with the message's position; the states are snapshotted at message ends, and
// the log is purged behind them. Claiming the shard is cloud/cluster's; the
// store of rows is cloud/history's; the catalog and the gate are interfaces
// here. This package knows neither NATS nor Badger.
//
// The Steps are pure: a state at sequence N is a function of the log up to N
// alone (I7), so that any node that replays the log has the same twins.
package site
