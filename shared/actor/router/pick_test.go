package router

import (
	"context"
	"fmt"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor"
)

// gate is a routee that handles nothing before it is closed.
type gate chan struct{}

func (g gate) Receive(*actor.ContextOf[string]) { <-g }

// BenchmarkPick is what a policy costs beside the Tell, in one goroutine. Each
// routee has a message waiting, so that LeastLoaded looks at as many as it may.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 4, 8, 16, 100} {
		s := actor.NewActorSystem(actor.Config{Address: "node"}, nil)
		if err := s.RegisterDispatcher("one", actor.DispatcherConfig{Throughput: 1, MailboxSize: 1, MaxConcurrency: 1, Kind: actor.Blocking}); err != nil {
			b.Fatal(err)
		}
		g, all := make(gate), make([]routee[string], n)
		props := actor.PropsOf(func() actor.ReceiverOf[string] { return g }).WithDispatcher("one")
		for i := range all {
			ref, err := actor.Spawn(s.Engine(), props, fmt.Sprintf("routee/%d", i))
			if err == nil {
				err = ref.Tell("")
			}
			if err != nil {
				b.Fatal(err)
			}
			all[i] = routee[string]{ref, seedOf(ref.PID())}
		}
		for name, p := range map[string]policy[string]{
			"roundrobin":  &inTurn[string]{},
			"leastloaded": fewestWaiting[string]{},
			"hash":        byKey[string]{func(m string) string { return m }},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					p.pick(all, "hq/thermometer-1")
				}
			})
		}
		close(g)
		if err := s.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
