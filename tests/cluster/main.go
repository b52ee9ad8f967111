// Command cluster raises a cluster of Atrium as real processes, lets gateways
// send to it, and does to its nodes what happens to machines: they are killed,
// stand still, are drained, join and leave. After each scenario it judges from
// outside: every reading that a gateway committed is in the history once or in
// the gap ledger (I1), each epoch of a shard's log has one owner (I3),
// and no more shards moved than had to.
//
// A scenario is data with a function (scenario.go), which package trial runs; rig.go
// has what scenarios do and the judgement, logs.go reads the logs, and the other
// files hold the scenarios. README.md lists them.
package main

import (
	"os"

	"github.com/atrium-iot/atrium/tests/trial"
)

func main() { os.Exit(program().Main()) }

// What is counted beside readings.
const (
	moved  = "moved"  // shards that got another owner
	claims = "claims" // of shards, as far as the logs still hold their barriers
)

// program runs one cluster at a time, as each has five processes and more.
func program() trial.Program {
	p := trial.Program{Name: "cluster", Parallel: 1, Columns: []string{moved, claims, answers, changes, commands}}
	for _, s := range scenarios() {
		p.Scenarios = append(p.Scenarios, s.trial())
	}
	return p
}
