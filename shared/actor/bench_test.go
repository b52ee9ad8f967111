package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor"
)

// reading is a message of a usual size.
type reading struct {
	id    uint64
	value float64
}

// sink counts what it got.
type sink struct {
	n   atomic.Int64
	sum float64
}

func (s *sink) Receive(ctx *actor.ContextOf[reading]) {
	s.sum += ctx.Message().value
	s.n.Store(s.n.Load() + 1)
}

func benchSinks(b *testing.B, n int) ([]actor.Ref[reading], []*sink) {
	b.Helper()
	s, _ := newSystem(b)
	cfg := actor.DispatcherConfig{Throughput: 100, MailboxSize: 1 << 16, MaxConcurrency: runtime.GOMAXPROCS(0)}
	if err := s.RegisterDispatcher("bench", cfg); err != nil {
		b.Fatal(err)
	}
	refs, sinks := make([]actor.Ref[reading], n), make([]*sink, n)
	for i := range refs {
		sinks[i] = &sink{}
		refs[i] = spawn(b, s, actor.PropsOf(func() actor.ReceiverOf[reading] { return sinks[i] }).WithDispatcher("bench"), fmt.Sprint(i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	return refs, sinks
}

// drain waits until the sinks have got all of b's messages.
func drain(b *testing.B, sinks []*sink, sent int) {
	b.Helper()
	for {
		var got int64
		for _, s := range sinks {
			got += s.n.Load()
		}
		if got == int64(sent) {
			break
		}
		runtime.Gosched()
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
}

func benchTell(b *testing.B, actors int) {
	refs, sinks := benchSinks(b, actors)
	for i, k := 0, 0; i < b.N; {
		err := refs[k].Tell(reading{id: uint64(i), value: 1})
		switch {
		case err == nil:
			i++
			if k++; k == actors {
				k = 0
			}
		case errors.Is(err, actor.ErrMailboxFull):
			runtime.Gosched()
		default:
			b.Fatal(err)
		}
	}
	drain(b, sinks, b.N)
}

func BenchmarkTell1(b *testing.B)      { benchTell(b, 1) }
func BenchmarkTell1000(b *testing.B)   { benchTell(b, 1_000) }
func BenchmarkTell100000(b *testing.B) { benchTell(b, 100_000) }

func benchTellBatch(b *testing.B, actors int) {
	const size = 16
	refs, sinks := benchSinks(b, actors)
	batch := make([]reading, size)
	sent := 0
	for k := 0; sent < b.N; {
		n, err := refs[k].TellBatch(batch[:min(size, b.N-sent)])
		sent += n
		if err != nil {
			runtime.Gosched()
		} else if k++; k == actors {
			k = 0
		}
	}
	drain(b, sinks, b.N)
}

func BenchmarkTellBatch1(b *testing.B)      { benchTellBatch(b, 1) }
func BenchmarkTellBatch100000(b *testing.B) { benchTellBatch(b, 100_000) }

func BenchmarkAsk(b *testing.B)           { benchAsk(b, false) }
func BenchmarkAskCallerRuns(b *testing.B) { benchAsk(b, true) }

func benchAsk(b *testing.B, callerRuns bool) {
	s, _ := newSystem(b)
	p := on(func(ctx *actor.ContextOf[actor.Reply[int]]) { ctx.Message().Send(1) })
	if callerRuns {
		p = p.WithCallerRuns()
	}
	ref := spawn(b, s, p, "echo")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := actor.Ask(ctx, ref, func(r actor.Reply[int]) actor.Reply[int] { return r }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTurn is a turn of three messages: a frame for a gateway, its
// reading for a twin, the twin's for a room.
func BenchmarkTurn(b *testing.B) {
	s, _ := newSystem(b)
	g := newGroup(b, s, 0)
	to := actor.Ref[reading]{}
	for _, name := range []string{"room", "twin", "gateway"} {
		next := to
		to = spawnIn(b, g, on(func(ctx *actor.ContextOf[reading]) {
			if next != (actor.Ref[reading]{}) {
				if err := actor.Send(ctx, next, ctx.Message()); err != nil {
					b.Error(err)
				}
			}
		}), name)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := actor.Turn(g, to, reading{value: 1}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdleActor reports the heap of an actor that has nothing to do, its
// place in the engine's table included, its receiver not.
func BenchmarkIdleActor(b *testing.B) {
	s, _ := newSystem(b)
	shared := &sink{}
	p := actor.PropsOf(func() actor.ReceiverOf[reading] { return shared })
	var before, after runtime.MemStats
	ids := make([]string, b.N)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for _, id := range ids {
		spawn(b, s, p, id)
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "heap-B/actor")
}
