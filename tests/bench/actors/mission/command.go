package mission

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// askers is how many commands are under way at once.
const askers = 64

// command sets a device's value and is answered with the version that it made.
type command struct {
	value  float64
	answer actor.Reply[uint64]
}

// actuator is a device that obeys.
type actuator struct{ state state }

func (a *actuator) Receive(ctx *actor.ContextOf[command]) {
	c := ctx.Message()
	a.state.apply(reading{value: c.value, at: a.state.at})
	c.answer.Send(a.state.version)
}

// commands has each asker command devices of its own, one after another.
func commands(scale load.Scale) (load.Figures, error) {
	before := load.InUse()
	s := newSite()
	defer s.close()
	n := max(min(devices, scale.Actors)/askers, 1)
	all := make([][]actor.Ref[command], askers)
	for i := range all {
		for range n {
			all[i] = append(all[i], spawn(s, &actuator{}))
		}
	}
	each := max(scale.Messages/4/askers, 1)
	took := make([][]uint32, askers)
	var answered sync.WaitGroup
	begin := time.Now()
	for i, devices := range all {
		answered.Go(func() { took[i] = order(devices, each) })
	}
	answered.Wait()
	fig := load.Figures{load.PerSecond: float64(each*askers) / time.Since(begin).Seconds()}
	sorted := slices.Concat(took...)
	slices.Sort(sorted)
	fig[load.P50], fig[load.P99] = load.Percentile(sorted, 0.50), load.Percentile(sorted, 0.99)
	sorted, took = nil, nil
	fig[load.HeapBytes] = float64(load.InUse()-before) / float64(s.spawned)
	return fig, nil
}

// order commands the devices in turn, n times in all, and returns how long
// each command took, in nanoseconds.
func order(devices []actor.Ref[command], n int) []uint32 {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	took := make([]uint32, n)
	for k := range took {
		begin := time.Now()
		version, err := actor.Ask(ctx, devices[k%len(devices)], func(r actor.Reply[uint64]) command {
			return command{value: float64(k), answer: r}
		})
		must(err)
		if version != uint64(k/len(devices)+1) {
			panic("BUG: a command was obeyed twice or never")
		}
		took[k] = load.Nanos(time.Since(begin))
	}
	return took
}
