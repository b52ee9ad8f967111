package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Workload is one way to load a runtime.
type Workload struct {
	Name string
	// Measures are the figures that a run gives.
	Measures []Figure

	run   func(p Peer, s Scale, fig Figures)
	needs func(p Peer) bool // what a peer must offer beside Peer; nil is nothing
}

// Serves reports whether p has what the workload needs.
func (w Workload) Serves(p Peer) bool { return w.needs == nil || w.needs(p) }

// Run runs the workload on p, which serves it, and returns what it measured.
func (w Workload) Run(p Peer, s Scale) Figures {
	fig := Figures{}
	w.run(p, s, fig)
	return fig
}

// Check runs every workload that the runtime serves, a little of each, and
// reports the first that does not end or lacks a figure. It closes the peers
// that it starts.
func Check(start func() Peer) error {
	for _, w := range Workloads() {
		p := start()
		if w.Serves(p) {
			fig, err := within(patience, func(s Scale) (Figures, error) { return w.Run(p, s), nil }, Scales()["tiny"])
			if err != nil {
				return fmt.Errorf("%s: %w", w.Name, err)
			}
			for _, f := range w.Measures {
				if _, ok := fig[f]; !ok || len(fig) != len(w.Measures) {
					return fmt.Errorf("%s: want %v, got %v", w.Name, w.Measures, fig)
				}
			}
		}
		p.Close()
	}
	return nil
}

// Scale is how much of each workload is run.
type Scale struct {
	Messages int           // of a tell workload; slower ones take a part of it
	Asks     int           // of one asker; 64 together ask twice as often
	Actors   int           // at most in a tell workload
	Members  int           // of a room
	Rounds   int           // broadcasts one at a time
	Idle     int           // actors that do nothing
	Mailbox  int           // of the actor that falls behind
	Overload time.Duration // how long its mailbox is kept full
}

// Scales by name: what the table is made of, what shows in CI that all of it
// runs, and what a test with the race detector can afford.
func Scales() map[string]Scale {
	return map[string]Scale{
		"full":  {Messages: 4_000_000, Asks: 500_000, Actors: 100_000, Members: 1_000, Rounds: 1_000, Idle: 1_000_000, Mailbox: 1024, Overload: 3 * time.Second},
		"short": {Messages: 200_000, Asks: 5_000, Actors: 100_000, Members: 1_000, Rounds: 20, Idle: 10_000, Mailbox: 128, Overload: 200 * time.Millisecond},
		"tiny":  {Messages: 2_000, Asks: 50, Actors: 100, Members: 20, Rounds: 5, Idle: 100, Mailbox: 16, Overload: 20 * time.Millisecond},
	}
}

// Workloads in the order of the table.
func Workloads() []Workload {
	rate := []Figure{PerSecond, CPUNanos, Allocations}
	answers := append([]Figure{P50, P99}, rate...)
	return []Workload{
		{Name: "tell-1", Measures: rate, run: tell(1, 1, 0)},
		{Name: "tell-1k", Measures: rate, run: tell(2, 1_000, 0)},
		{Name: "tell-100k", Measures: rate, run: tell(2, 100_000, 0)},
		{Name: "batch-1k", Measures: rate, run: tell(2, 1_000, 64), needs: is[Batcher]},
		{Name: "batch-100k", Measures: rate, run: tell(2, 100_000, 16), needs: is[Batcher]},
		{Name: "tell-and-wait", Measures: rate, run: tellAndWait},
		{Name: "ask-1", Measures: answers, run: ask(1)},
		{Name: "ask-64", Measures: answers, run: ask(64)},
		{Name: "broadcast", Measures: rate, run: broadcast},
		{Name: "last-delivery", Measures: answers, run: lastDelivery},
		{Name: "pipeline", Measures: rate, run: pipeline},
		{Name: "idle", Measures: []Figure{PerSecond, HeapBytes, RSSMega, GCMillis}, run: idle},
		{Name: "refuse", Measures: []Figure{RefusalNano, RSSGrowth}, run: refuse, needs: is[Refuser]},
		{Name: "wait", Measures: []Figure{Cores}, run: wait, needs: is[Waiter]},
	}
}

func is[T Peer](p Peer) bool { _, ok := p.(T); return ok }

// tell has producers send to sinks, round robin, each from a place of its own;
// in batches unless batch is 0. A tenth of it is sent first, to other actors.
func tell(producers, sinks, batch int) func(Peer, Scale, Figures) {
	return func(p Peer, s Scale, fig Figures) {
		sinks := min(sinks, s.Actors)
		unit := producers * sinks
		send := func(total int) {
			var handled, sending sync.WaitGroup
			handled.Add(sinks)
			p.Sinks(sinks, int64(total/sinks), handled.Done)
			fig.measure(total, func() {
				for i := range producers {
					sending.Go(func() {
						count, start, m := total/producers, i*(sinks/producers), &Msg{ID: uint64(i)}
						if batch == 0 {
							p.Tell(count, start, m)
						} else {
							p.(Batcher).TellBatch(count, start, batch, m)
						}
					})
				}
				handled.Wait()
				sending.Wait()
			})
		}
		rounds := max(s.Messages/unit, 1)
		send(max(rounds/10, 1) * unit)
		send(rounds * unit)
	}
}

// tellAndWait sends one message and waits until it is handled, so that no
// mailbox grows: what a message itself allocates.
func tellAndWait(p Peer, s Scale, fig Figures) {
	handled := make(chan struct{}, 1)
	n := s.Asks
	p.Room(1, 0, nil, func() { handled <- struct{}{} })
	m := &Msg{}
	send := func() {
		for range n {
			p.Broadcast(m)
			<-handled
		}
	}
	send()
	fig.measure(2*n, send) // the room's message and the member's
}

// ask has askers ask one actor each.
func ask(askers int) func(Peer, Scale, Figures) {
	return func(p Peer, s Scale, fig Figures) {
		each := s.Asks
		if askers > 1 {
			each = max(2*s.Asks/askers, 1)
		}
		took := make([]uint32, askers*each)
		p.Echoes(askers)
		askAll := func(each int) {
			var answered sync.WaitGroup
			for i := range askers {
				answered.Go(func() {
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					p.Ask(ctx, i, &Msg{ID: uint64(i)}, took[i*each:(i+1)*each])
				})
			}
			answered.Wait()
		}
		askAll(max(each/10, 1))
		fig.measure(len(took), func() { askAll(each) })
		fig.latencies(took)
	}
}

// broadcast sends to a room without waiting for its members.
func broadcast(p Peer, s Scale, fig Figures) {
	rounds := max(s.Messages/s.Members, 1)
	var handled sync.WaitGroup
	handled.Add(s.Members)
	p.Room(s.Members, int64(rounds), handled.Done, nil)
	m := &Msg{}
	fig.measure(rounds*s.Members, func() {
		for range rounds {
			p.Broadcast(m)
		}
		handled.Wait()
	})
}

// lastDelivery broadcasts again when all members have got the last one.
func lastDelivery(p Peer, s Scale, fig Figures) {
	var got atomic.Int64
	all := make(chan struct{}, 1)
	p.Room(s.Members, 0, nil, func() {
		if got.Add(1) == int64(s.Members) {
			got.Store(0)
			all <- struct{}{}
		}
	})
	m := &Msg{}
	took := make([]uint32, s.Rounds)
	send := func() {
		for i := range took {
			begin := time.Now()
			p.Broadcast(m)
			<-all
			took[i] = Nanos(time.Since(begin))
		}
	}
	send()
	fig.measure(s.Rounds*s.Members, send)
	fig.latencies(took)
}

// pipeline counts a message once, when it has gone through all three stages.
func pipeline(p Peer, s Scale, fig Figures) {
	n := max(s.Messages/2, 1)
	for _, total := range slices.Compact([]int{max(n/10, 1), n}) {
		handled := make(chan struct{})
		p.Pipeline(int64(total), func() { close(handled) })
		fig.measure(total, func() {
			p.Feed(total, &Msg{})
			<-handled
		})
	}
}
