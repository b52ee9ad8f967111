package sim

import (
	"math/rand/v2"
	"sync"

	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// faults decides what strikes each durable step of the journal's store.
type faults struct {
	mu    sync.Mutex
	rng   *rand.Rand
	rates journaltest.Rates
	kind  journaltest.StepKind // of the step that is to crash
	nth   int                  // of its kind from now; 0 for none
	fault journaltest.Fault    // CrashBefore or CrashAfter
	beats float64              // of messages between nodes that are lost
	down  func()               // takes the nodes with the store
}

func newFaults(seed uint64) *faults {
	return &faults{rng: rand.New(rand.NewPCG(seed, 0x666175)), down: func() {}}
}

func (f *faults) setRates(r journaltest.Rates) { f.mu.Lock(); f.rates = r; f.mu.Unlock() }

// arm crashes the store at the nth step of a kind from now.
func (f *faults) arm(kind journaltest.StepKind, nth int, fault journaltest.Fault) {
	f.mu.Lock()
	f.kind, f.nth, f.fault = kind, nth, fault
	f.mu.Unlock()
}

// strike is journaltest.Config.Fault.
func (f *faults) strike(s journaltest.Step) journaltest.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nth > 0 && s.Kind == f.kind {
		if f.nth--; f.nth == 0 {
			f.down()
			return f.fault
		}
	}
	p := f.rng.Float64()
	for _, c := range []struct {
		rate  float64
		fault journaltest.Fault
	}{
		{f.rates.Fail, journaltest.Fail},
		{f.rates.LostAck, journaltest.LostAck},
		{f.rates.LostMessage, journaltest.LostMessage},
		{f.rates.Late, journaltest.Late},
	} {
		if p < c.rate {
			return c.fault
		}
		p -= c.rate
	}
	return journaltest.None
}

// loseBeats has messages between nodes lost, with a probability.
func (f *faults) loseBeats(p float64) { f.mu.Lock(); f.beats = p; f.mu.Unlock() }

// losesBeat says whether the next one is.
func (f *faults) losesBeat() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beats > 0 && f.rng.Float64() < f.beats
}
