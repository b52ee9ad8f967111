package router_test

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/router"
)

// TestTellAllocatesNothing measures Tell alone: the routees are behind a gate.
func TestTellAllocatesNothing(t *testing.T) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	all := policies()
	all["broadcast"] = router.Broadcast[message]
	all["by key"] = func(refs ...actor.Ref[message]) *router.Router[message] {
		return router.ConsistentHash(func(m message) string { return keys[m.n%len(keys)] }, refs...)
	}
	for name, make := range all {
		c := newCrew(t, newSystem(t), same(10, 10_000)...)
		r, n := make(c.refs...), 0
		allocs := testing.AllocsPerRun(1000, func() {
			tell(t, r, n)
			n++
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations a Tell", name, allocs)
		}
	}
}

// nothing is a routee that does nothing.
type nothing struct{}

func (nothing) Receive(*actor.ContextOf[reading]) {}

// reading is a message of a usual size.
type reading struct {
	device string
	value  float64
}

func benchRefs(b *testing.B, n int) []actor.Ref[reading] {
	b.Helper()
	p := actor.PropsOf(func() actor.ReceiverOf[reading] { return nothing{} }).WithMailbox(actor.Mailbox{Size: 1 << 16})
	s, refs := newSystem(b), make([]actor.Ref[reading], n)
	for i := range refs {
		ref, err := actor.Spawn(s.Engine(), p, fmt.Sprintf("routee/%d", i))
		if err != nil {
			b.Fatal(err)
		}
		refs[i] = ref
	}
	return refs
}

// BenchmarkTell is Tell from two goroutines to routees that do nothing, beside
// it without a router: each to the routees in turn.
func BenchmarkTell(b *testing.B) {
	for _, n := range []int{1, 4, 16, 100} {
		refs := benchRefs(b, n)
		b.Run(fmt.Sprintf("none/%d", n), func(b *testing.B) {
			benchSenders(b, func() func(reading) error {
				i := 0
				return func(m reading) error {
					if i++; i == n {
						i = 0
					}
					return refs[i].Tell(m)
				}
			})
		})
		for name, r := range map[string]*router.Router[reading]{
			"roundrobin":  router.RoundRobin(refs...),
			"leastloaded": router.LeastLoaded(refs...),
			"hash":        router.ConsistentHash(func(m reading) string { return m.device }, refs...),
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				benchSenders(b, func() func(reading) error { return r.Tell })
			})
		}
	}
}

func benchSenders(b *testing.B, sender func() func(reading) error) {
	devices := make([]string, 1024)
	for i := range devices {
		devices[i] = fmt.Sprintf("hq/thermometer-%d", i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		tell := sender()
		for i := 0; pb.Next(); i++ {
			m := reading{devices[i%len(devices)], 1}
			for err := tell(m); err != nil; err = tell(m) {
				if !errors.Is(err, actor.ErrMailboxFull) {
					b.Error(err)
					return
				}
				runtime.Gosched()
			}
		}
	})
}

// BenchmarkBroadcast is one message to 1,000 routees, nobody keeping up.
func BenchmarkBroadcast(b *testing.B) {
	refs := benchRefs(b, 1000)
	r := router.Broadcast(refs...)
	b.ReportAllocs()
	for b.Loop() {
		for err := r.Tell(reading{}); err != nil; err = nil {
			var lost *router.Undelivered
			if !errors.As(err, &lost) {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(refs))*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkAdd(b *testing.B) {
	refs := benchRefs(b, 100)
	r := router.RoundRobin(refs[1:]...)
	for b.Loop() {
		r.Add(refs[0])
		r.Remove(refs[0])
	}
}
