// Package command executes the commands that the cloud sends to a gateway's
// devices, each at most once, whatever comes again and whenever the process
// dies; DESIGN.md says by which rules. It knows no network, no bus and no
// store: the uplink brings commands and takes results away, the sampler's
// device actors do them, and the buffer's ledger keeps what must survive.
//
//	uplink -Take-> Step -> ledger (fsync) -> Step -> Field.Execute
//	   ^                                                   |
//	   `- Unsettled <- Step <- ledger (fsync) <- Step <----'
//
// What happens is decided in State.Step, which is pure. Executor is the shell:
// whoever brings something steps, and one goroutine writes what is to be kept,
// all of it at once, and begins commands. It never waits for a device, so that a
// bus that is stuck delays no other's commands.
package command
