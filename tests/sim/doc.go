// Package sim runs the whole line in one process and in fake time, and demands
// the invariants I1 to I7 of it (ARCHITECTURE.md). Real are the chips, the bus
// owners, the sampler, the buffer, the executor of commands, the uplink, QUIC
// with mutual TLS, the gate, the coalescer, the catalog, the ownership protocol,
// the shard owner and the sites. Doubles are what has faults to model: the
// network (quic-go's simnet for UDP, stream.go for TCP), the gateway's disk (buffertest.Disk), the
// journal's store (journaltest.Mem), the bus and history (history.go). It measures
// nothing, and real disks and processes are the business of tests/e2e.
//
//	chips -> bus -> sampler -> buffer -> uplink ~~net~~ gate -> coalescer -> Mem
//	  |                          |                                            |
//	truth                      Disk                 history <- site.Shard <---+-> tap
//
//	order -> site.Shard -> gate ~~net~~ uplink -> command -> sampler -> panel
//	write -> catalog -> site.Shard
//
// A seed draws a Plan: how the gateways are configured, and what happens when
// (plan.go). The run carries it out, then heals everything, waits for the drain
// and asks the checkers. Watchers look during the run: tap.go at the log (I2,
// I3, I6), watch.go at views and bounds (I4, I5); check.go compares at the end
// (I1), replay.go replays the log (I7).
//
// check.go compares numbers of counters alone. books.go has all frames that
// gateways made, as their disks and uplinks saw them, and account.go demands
// each that was committed of the log or the ledger, byte for byte and range for
// range (I1). told.go does the same for the events of devices' health. A row
// says how many reads passed without one; sensed.go counts them along, and that
// number goes by the frames' sums to what the owners counted (I5). What a
// sampler withheld last, with no row behind it, and what was in frames that a
// crash or a gap took, is counted by the sampler alone. A row's time may be
// wrong by what the cloud says it may be, unless the gateway vouched for it.
//
// Some plans have a disaster (disaster.go), which takes more than a crash may:
// loss.go says how much that is, and the ledger must say so, no less and no more.
//
// Most plans have one node that claims every shard, and another that takes them
// over by force. In those of a cluster (nodes.go) three nodes share the shards
// (clustered.go): membership, placement and seats are real, too, and the double is
// the bus between them. Each node has its own way to the store (reach.go), on which
// it may stand still, be cut off or end, and deaths.go has it end between any two
// steps of the ownership's protocol. History is one that all nodes share: how each
// node's own is filled from others' parts is the business of cloud/history and
// tests/cluster.
//
// Beside telemetry a plan has people who want devices to do something (order.go)
// and who write rooms and pipelines (document.go), through whichever node is
// there. Commands bring numbers to devices that remember them (lines.go), so
// that obeyed.go can hold what was done against what both sides say of it;
// asked.go looks at what owners were allowed to send (I3). windows.go sorts the
// rows of history into windows once more (I1), rooms.go computes rooms from
// their twins.
//
// # Reading a failure
//
// A failing seed prints what broke which invariant and at what time of the run,
// the command that runs it again, and the end of the trace: the events of the
// plan (">"), and what the components logged. -sim.trace prints all of it. The
// plan depends on the seed alone; which goroutine comes first does not, so that
// a rare failure may need -count=20. Read the first complaint: later ones are
// often its consequences.
package sim
