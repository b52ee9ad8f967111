package atrium_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/bench/actors/atrium"
	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheRuntimeDeliversEveryWorkload(t *testing.T) {
	for name, start := range atrium.Runtimes() {
		t.Run(name, func(t *testing.T) {
			if err := load.Check(start); err != nil {
				t.Error(err)
			}
		})
	}
}
