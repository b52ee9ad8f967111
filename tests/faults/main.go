// Command faults does to a real line of Atrium what happens in the field, and
// worse: kill -9, power cuts, full and damaged disks, bad networks, clouds that
// are silent, killed or restored from a backup, cloned and restored cards. After
// each scenario a checker outside the agent says of every reading that a board
// delivered whether it is in the cloud once, or in a range of the gap ledger
// whose reason this fault may have (I1).
//
// A scenario is data with a function (scenario.go), which package trial runs; rig.go
// raises the line for it, package account is the checker, and the files named after
// a kind of fault hold the scenarios. README.md lists them.
package main

import (
	"os"

	"github.com/atrium-iot/atrium/tests/trial"
)

func main() { os.Exit(program().Main()) }

// program runs three lines at a time: they wait more than they work.
func program() trial.Program {
	p := trial.Program{Name: "faults", Parallel: 3}
	for _, s := range scenarios() {
		p.Scenarios = append(p.Scenarios, s.trial())
	}
	return p
}
