// Package shard updates twins that are no actors: flat structs of 64 bytes, in
// one slice for each core, written by the goroutine of their shard, which gets
// updates in batches. It says how far a million actors are from the memory
// that they describe.
package shard

import (
	"runtime"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

const (
	batch  = 256 // updates
	points = 6   // of a twin
	flying = 32  // batches a producer fills ahead
)

// twin is a device's state. Its place in the slice is its device's handle,
// which a session would resolve once.
type twin struct {
	device, sequence, version uint64
	time                      int64
	values                    [points]float32
	count                     uint32
}

type update struct {
	twin     uint32
	field    uint32
	sequence uint64
	time     int64
	value    float32
}

type shard struct {
	twins   []twin
	updates chan []update
	spent   chan []update
	applied int
}

// Programs is the one workload, named as those of a runtime are.
func Programs() map[string]load.Program {
	return map[string]load.Program{"shard/twin": func(s load.Scale) (load.Figures, error) { return run(s), nil }}
}

// run has as many producers as shards update twins in random order. Figures
// are those of the mission's row for twins: updates a second, bytes a twin.
func run(s load.Scale) load.Figures {
	shards := make([]*shard, runtime.GOMAXPROCS(0))
	each := max(s.Idle/len(shards), 1)
	before := load.InUse()
	for i := range shards {
		shards[i] = &shard{twins: make([]twin, each)}
		for d := range shards[i].twins {
			shards[i].twins[d].device = uint64(d*len(shards) + i)
		}
	}
	fig := load.Figures{load.HeapBytes: float64(load.InUse()-before) / float64(each*len(shards))}
	var applying, sending sync.WaitGroup
	for _, one := range shards {
		one.updates, one.spent = make(chan []update, flying), make(chan []update, flying*len(shards))
		for range flying * len(shards) {
			one.spent <- make([]update, 0, batch)
		}
		applying.Go(one.apply)
	}
	total := 4 * s.Messages
	begin := time.Now()
	for i := range shards {
		sending.Go(func() { produce(shards, uint64(i), total/len(shards)) })
	}
	sending.Wait()
	applied := 0
	for _, one := range shards {
		close(one.updates)
	}
	applying.Wait()
	for _, one := range shards {
		applied += one.applied
	}
	fig[load.PerSecond] = float64(applied) / time.Since(begin).Seconds()
	return fig
}

// apply takes each batch in order. An update that the twin has seen is old.
func (s *shard) apply() {
	for us := range s.updates {
		for i := range us {
			u := &us[i]
			t := &s.twins[u.twin]
			if u.sequence < t.sequence {
				continue
			}
			t.sequence, t.time = u.sequence, u.time
			t.values[u.field] = u.value
			t.version++
			t.count++
		}
		s.applied += len(us)
		s.spent <- us[:0]
	}
}

// produce sends n updates to random twins of all shards. The generator is
// xorshift64 (Marsaglia, 2003).
func produce(shards []*shard, seed uint64, n int) {
	open := make([][]update, len(shards))
	for i, s := range shards {
		open[i] = <-s.spent
	}
	x := seed*0x9E3779B97F4A7C15 + 12345
	for k := range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		i := int(x % uint64(len(shards)))
		s := shards[i]
		open[i] = append(open[i], update{
			twin: uint32((x >> 11) % uint64(len(s.twins))), field: uint32(k % points),
			sequence: uint64(k + 1), time: int64(k), value: float32(k),
		})
		if len(open[i]) == batch {
			s.updates <- open[i]
			open[i] = <-s.spent
		}
	}
	for i, us := range open {
		shards[i].updates <- us
	}
}
