package mission_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/mission"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachOfTheMissionsRowsIsMeasured(t *testing.T) {
	for name, run := range mission.Programs() {
		t.Run(name, func(t *testing.T) {
			fig, err := run(load.Scales()["tiny"])
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []load.Figure{load.PerSecond, load.P50, load.P99, load.HeapBytes} {
				if fig[f] <= 0 {
					t.Errorf("%s is %g", f, fig[f])
				}
			}
		})
	}
}
