package reference

import (
	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference/swap"
)

// typed is package swap with message values instead of pointers behind any, in
// the workloads that send to sinks. In the others it is as swapped is.
type typed struct {
	*swapped
	system *swap.System[load.Msg]
	sinks  []*swap.Actor[load.Msg]
}

func newTyped() *typed {
	return &typed{swapped: newSwapped(false), system: swap.New[load.Msg]()}
}

// typedSink reads the value, so that it has to come along.
type typedSink struct {
	*load.Sink
	sum float64
}

func (s *typedSink) Handle(_ *swap.Turn[load.Msg], m *load.Msg) {
	s.sum += m.Value
	s.Got()
}

func (t *typed) Sinks(n int, per int64, done func()) {
	t.sinks = make([]*swap.Actor[load.Msg], n)
	for i := range t.sinks {
		t.sinks[i] = t.system.Spawn(&typedSink{Sink: load.NewSink(per, done, nil)}, 0)
	}
}

func (t *typed) Tell(count, start int, m *load.Msg) {
	i, v := start, *m
	for k := range count {
		v.Seq = uint64(k)
		t.sinks[i].Tell(v)
		if i++; i == len(t.sinks) {
			i = 0
		}
	}
}

func (t *typed) TellBatch(count, start, batch int, m *load.Msg) {
	values := make([]load.Msg, batch)
	for i := range values {
		values[i] = *m
		values[i].Seq = uint64(i)
	}
	i := start
	for left := count / len(t.sinks); left > 0; left -= batch {
		for range t.sinks {
			t.sinks[i].TellBatch(values[:min(batch, left)])
			if i++; i == len(t.sinks) {
				i = 0
			}
		}
	}
}

func (t *typed) Idle(n int, done func()) { t.Sinks(n, 1, done) }

func (t *typed) Touch(m *load.Msg) { t.Tell(len(t.sinks), 0, m) }

func (t *typed) Close() {
	t.swapped.Close()
	t.system.Close()
}
