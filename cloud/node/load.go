package node

import (
	"context"
	"runtime"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/cluster/seat"
)

const (
	// measureEvery is how often a node looks at its own load.
	measureEvery = time.Second
	// remembers is over how long it averages: placement must not follow a burst.
	remembers = 10 * time.Second
)

// meter is what a node measures of itself.
type meter struct {
	mu     sync.Mutex
	load   placement.NodeLoad
	late   latencies
	shards map[int]shardLoad // that it holds
	heard  map[int]float64   // readings/s of every shard, as an owner last said
}

// shardLoad is how a shard does. epoch parts its times here.
type shardLoad struct {
	epoch, readings uint64
	rate            float64 // readings/s
}

// node returns the load of all.
func (m *meter) node() placement.NodeLoad {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load
}

// rates returns the readings/s of shards, in their order.
func (m *meter) rates(shards []int) []float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]float64, len(shards))
	for i, s := range shards {
		if one, counted := m.shards[s]; counted {
			all[i] = one.rate
		} else {
			all[i] = m.heard[s]
		}
	}
	return all
}

// hear notes what the owner of a shard says of it. Its next owner begins with
// that, so that a move does not make a shard look idle, and move others.
func (m *meter) hear(shard int, rate float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard == nil {
		m.heard = make(map[int]float64)
	}
	m.heard[shard] = rate
}

// last returns what an owner last said of a shard.
func (m *meter) last(shard int) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[shard]
}

// measure keeps the meter until ctx ends.
func (n *node) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	before, used := time.Now(), cpuTime()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, o := range n.members.Members() {
				for i := range min(len(o.Shards), len(o.Rates)) {
					if !o.Dead {
						n.load.hear(o.Shards[i], o.Rates[i])
					}
				}
			}
			total, passed := cpuTime(), now.Sub(before)
			counts := n.counts(ctx)
			n.load.wait(histogramOf(n.gate.Acks()), counts)
			n.relieve()
			n.load.take(counts, float64(total-used)/float64(passed)/float64(runtime.GOMAXPROCS(0)), passed)
			before, used = now, total
		}
	}
}

// count is what a shard has applied, and what waits.
type count struct {
	shard                int
	epoch, readings, lag uint64
	delay                time.Duration
}

func (n *node) counts(ctx context.Context) (all []count) {
	for _, s := range n.seats.Held() {
		if one, ok := countOf(ctx, s); ok {
			all = append(all, one)
		}
	}
	return all
}

// countOf asks a shard, but does not wait for one that recovers.
func countOf(ctx context.Context, s seat.Seat) (count, bool) {
	select {
	case <-s.Work.Active():
	default:
		return count{}, false
	}
	p, err := s.Work.Progress(ctx)
	return count{s.Shard, s.Claim.Epoch(), p.Readings, p.Lag, p.Delay}, err == nil
}

// take averages what was counted over the time that passed. A shard that has
// just come begins with what its owner before said of it.
func (m *meter) take(counts []count, cpu float64, passed time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	part := min(float64(passed)/float64(remembers), 1)
	m.load.CPU += part * (min(max(cpu, 0), 1) - m.load.CPU)
	shards := make(map[int]shardLoad, len(counts))
	var rate, waiting float64
	for _, c := range counts {
		one := shardLoad{epoch: c.epoch, readings: c.readings, rate: m.heard[c.shard]}
		if old, known := m.shards[c.shard]; known && old.epoch == c.epoch {
			one.rate = old.rate + part*(float64(c.readings-old.readings)/passed.Seconds()-old.rate)
		}
		shards[c.shard] = one
		rate += one.rate
		waiting += float64(c.lag)
	}
	m.load.Growth += part * ((waiting-m.load.Mailbox)/passed.Seconds() - m.load.Growth)
	m.load.Rate, m.load.Mailbox, m.shards = rate, waiting, shards
}

// wait takes how late the gate and the shards' owners are.
func (m *meter) wait(acks *dto.Histogram, counts []count) {
	var delay time.Duration
	for _, c := range counts {
		delay = max(delay, c.delay)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load.Ack, m.load.Delay = m.late.take(acks, delay)
}

// cpuTime is what this process has used, of user and system.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
