// Command protoactor runs one of the workloads by which actor runtimes are
// compared on proto.actor and prints its figures; tests/bench/actors starts it.
// It is a module of its own, so that what it needs never enters the product's.
//
// The folder load is a link to the workloads in tests/bench/actors. They need
// nothing but the standard library; with a replace directive for the product's
// module instead, its requirements would choose proto.actor's versions.
package main

import (
	"os"

	"github.com/atrium-iot/atrium/tests/bench/protoactor/load"
)

func main() {
	os.Exit(load.Main(os.Args[1:], load.Programs(runtimes()), os.Stdout, os.Stderr))
}

// runtimes are proto.actor's two kinds of mailbox without a bound: the better
// one counts.
func runtimes() map[string]func() load.Peer {
	return map[string]func() load.Peer{
		"proto":          func() load.Peer { return newPeer(false) },
		"proto-lockfree": func() load.Peer { return newPeer(true) },
	}
}
