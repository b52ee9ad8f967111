package placement

import (
	"math"
	"testing"
)

// TestAMeasuredNodeCountsForWhatItCarries: fair is 1,000 readings/s throughout.
func TestAMeasuredNodeCountsForWhatItCarries(t *testing.T) {
	for _, c := range []struct {
		name string
		load NodeLoad
		want float64
	}{
		{"calm, with little to do", NodeLoad{Rate: 10, CPU: 0.1}, 1},
		{"warm, with its part", NodeLoad{Rate: 1000, CPU: 0.6}, 1},
		{"hot, with its part", NodeLoad{Rate: 1000, CPU: 0.875}, 0.8},
		{"hot, with twice its part", NodeLoad{Rate: 2000, CPU: 1}, 1},
		{"cooled down after it gave readings away", NodeLoad{Rate: 800, CPU: 0.7}, 0.8},
		{"hot without readings", NodeLoad{Rate: 0, CPU: 1}, 0.25},
		{"mailboxes grow", NodeLoad{Rate: 1000, CPU: 0.1, Growth: 100}, 0.8},
		{"mailboxes grow a little", NodeLoad{Rate: 1000, CPU: 0.1, Growth: 9}, 1},
		{"mailboxes are deep and shrink", NodeLoad{Rate: 600, CPU: 0.1, Mailbox: 1e5, Growth: -100}, 0.6},
		{"mailboxes grow in a hot node", NodeLoad{Rate: 1000, CPU: 1, Growth: 100}, 0.7},
		{"mailboxes grow in a warm node", NodeLoad{Rate: 1000, CPU: 0.6, Growth: 100}, 0.8},
	} {
		if got := health(c.load, 1000); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := health(NodeLoad{CPU: 0.875}, 0); math.Abs(got-0.8) > 1e-12 {
		t.Errorf("a hot node of a cluster without readings: %v", got)
	}
}

func TestTheHomeIsTheZoneOfMostReadings(t *testing.T) {
	zones := []ZoneLoad{{"b", 60}, {"a", 50}, {"c", 10}, {"a", 20}}
	for _, c := range []struct {
		zones     []ZoneLoad
		now, want string
	}{
		{zones, "", "a"},
		{zones, "c", "a"},
		{[]ZoneLoad{{"a", 109}, {"b", 100}}, "b", "b"}, // not worth a move
		{[]ZoneLoad{{"a", 111}, {"b", 100}}, "b", "a"},
		{[]ZoneLoad{{"b", 5}, {"a", 5}}, "c", "a"},
		{[]ZoneLoad{{"a", 0}}, "c", "c"},
		{nil, "c", "c"},
		{nil, "", ""},
	} {
		if got := Home(c.zones, c.now); got != c.want {
			t.Errorf("Home(%v, %q) is %q, want %q", c.zones, c.now, got, c.want)
		}
	}
	if zones[0].Zone != "b" {
		t.Error("the argument was changed")
	}
}
