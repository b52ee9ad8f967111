package mission

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// senders is how many goroutines send for the throughput.
const senders = 2

// pace is how often those messages are sent that have become due.
const pace = time.Millisecond

// reading is a message.
type reading struct {
	index uint32 // in the log
	point uint32
	value float64
	at    int64
}

// course is the way of a message: the actors that it is sent to, in turn, and
// the ends that handle it last. Each end gets as many as each head is sent.
type course struct {
	heads []actor.Ref[reading]
	ends  int
}

// builder spawns the actors of a course on a site. Each end is to call its own
// result of end for every message; the course has at most most heads.
type builder func(s *site, most int, end func() func(reading)) course

// courses makes a program that measures a course at full speed and then,
// anew, at rate messages a second.
func courses(rate int, build builder) load.Program {
	return func(scale load.Scale) (load.Figures, error) {
		fig := load.Figures{}
		before := load.InUse()
		s := newSite()
		fig[load.PerSecond] = fullSpeed(scale, s, build)
		fig[load.HeapBytes] = float64(load.InUse()-before) / float64(s.spawned)
		s.close()
		s = newSite()
		took := paced(scale, s, build, rate)
		s.close()
		slices.Sort(took)
		fig[load.P50], fig[load.P99] = load.Percentile(took, 0.50), load.Percentile(took, 0.99)
		return fig, nil
	}
}

// fullSpeed returns the messages a second that went through.
func fullSpeed(scale load.Scale, s *site, build builder) float64 {
	var handled sync.WaitGroup
	rounds := int64(0) // known when the course is
	c := build(s, scale.Actors, func() func(reading) {
		n := int64(0)
		return func(reading) {
			if n++; n == rounds {
				handled.Done()
			}
		}
	})
	handled.Add(c.ends)
	each := max(scale.Messages/len(c.heads)/senders, 1)
	rounds = int64(each * senders)
	begin := time.Now()
	for i := range senders {
		go func() {
			start := i * len(c.heads) / senders
			for k := range each * len(c.heads) {
				must(c.heads[(start+k)%len(c.heads)].Tell(reading{point: uint32(i), value: float64(k), at: int64(k)}))
			}
		}()
	}
	handled.Wait()
	return float64(rounds) * float64(len(c.heads)) / time.Since(begin).Seconds()
}

// paced sends rate messages a second as long as the scale says and returns the
// nanoseconds that each took, from the beginning of its burst.
func paced(scale load.Scale, s *site, build builder, rate int) []uint32 {
	total := max(int(scale.Overload.Seconds()*float64(rate)), 1)
	l := &log{begin: time.Now(), bursts: make([]time.Duration, total), took: make([]uint32, total)}
	c := build(s, scale.Actors, func() func(reading) { return l.hear })
	l.left.Store(int64(total * c.ends / len(c.heads)))
	l.all = make(chan struct{})
	for sent := 0; sent < total; time.Sleep(pace) {
		now := time.Since(l.begin)
		for due := int(now.Seconds() * float64(rate)); sent < min(due, total); sent++ {
			l.bursts[sent] = now
			must(c.heads[sent%len(c.heads)].Tell(reading{index: uint32(sent), value: 1}))
		}
	}
	<-l.all
	return l.took
}

// log is what the ends of a course write down.
type log struct {
	begin  time.Time
	bursts []time.Duration // when a message's burst began
	took   []uint32        // until its last end, nanoseconds
	left   atomic.Int64    // to hear of
	all    chan struct{}   // closed then
}

// hear is called by any end. A message's ends may call it at the same time.
func (l *log) hear(r reading) {
	took := load.Nanos(time.Since(l.begin) - l.bursts[r.index])
	for p := &l.took[r.index]; ; {
		longest := atomic.LoadUint32(p)
		if took <= longest || atomic.CompareAndSwapUint32(p, longest, took) {
			break
		}
	}
	if l.left.Add(-1) == 0 {
		close(l.all)
	}
}
