package fault

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

func TestAFaultyScenarioIsRefusedWithItsPlace(t *testing.T) {
	datadriven.RunTest(t, "testdata/scenario", func(t *testing.T, d *datadriven.TestData) string {
		b := newBench(t, 1)
		err := b.set.Plan("faults.yaml", []byte(d.Input))
		defer b.set.remove(func(*active) bool { return true })
		if err != nil {
			if n := len(b.set.Faults()); n != 0 {
				t.Errorf("a refused scenario left %d faults", n)
			}
			return err.Error() + "\n"
		}
		var s strings.Builder
		for _, a := range b.set.list() {
			fmt.Fprintf(&s, "%d %s %s %s", a.id, a.Bus, a.Place, a.Kind)
			if a.End != 0 {
				fmt.Fprintf(&s, " for %v", a.End-a.Begin)
			}
			fmt.Fprintf(&s, " probability %v\n", a.Probability)
		}
		return s.String()
	})
}

func TestABoardHasABoundedNumberOfFaults(t *testing.T) {
	const one = "  - {bus: b, address: 0x48, kind: nack}\n"
	b := newBench(t, 1)
	if err := b.set.Plan("f", []byte("faults:\n"+strings.Repeat(one, maxFaults+1))); err == nil || !strings.Contains(err.Error(), "at most 256 faults") {
		t.Errorf("%v", err)
	}
	if n := len(b.set.Faults()); n != 0 {
		t.Errorf("%d faults of a refused scenario", n)
	}
	if err := b.set.Plan("f", []byte("faults:\n"+strings.Repeat(one, maxFaults))); err != nil {
		t.Error(err)
	}
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte("faults: [{at: 1s, for: 2s, bus: b, address: 0x48, kind: crc, probability: 0.5}]"))
	f.Add([]byte("faults: [{bus: g, line: 27, kind: stuck}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New([]Target{{Place: here}, {Place: relay}}, 1, nil)
		err := s.Plan("f", data)
		if n := len(s.list()); err != nil && n > 0 {
			t.Errorf("%d faults in spite of %v", n, err)
		}
		s.remove(func(*active) bool { return true })
	})
}
