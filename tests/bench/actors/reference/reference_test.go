package reference_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachReferenceDeliversEveryWorkload(t *testing.T) {
	for name, start := range reference.Runtimes() {
		t.Run(name, func(t *testing.T) {
			if err := load.Check(start); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReferencesOfferWhatTheTableComparesWith(t *testing.T) {
	for _, c := range []struct {
		runtime              string
		batch, refuses, wait bool
	}{
		{"chan", false, true, true},
		{"mpsc", false, false, false},
		{"swap", true, true, false},
		{"swap-typed", true, true, false},
	} {
		p := reference.Runtimes()[c.runtime]()
		_, batch := p.(load.Batcher)
		_, refuses := p.(load.Refuser)
		_, waits := p.(load.Waiter)
		if batch != c.batch || refuses != c.refuses || waits != c.wait {
			t.Errorf("%s: batch %v, refuses %v, waits %v", c.runtime, batch, refuses, waits)
		}
		p.Close()
	}
}
