package uplink

import (
	"slices"
	"testing"
	"time"
)

func TestOnlyLiveFramesThatKeepWaitingForCreditStarve(t *testing.T) {
	start := time.Unix(0, 0)
	for _, c := range []struct {
		name  string
		waits string // looked at each watchInterval
		want  string
	}{
		{"nothing waits", "........", "........"},
		{"a short wait", "www.....", "........"},
		{"a wait that goes on", "wwwwwwww", "....WWWW"},
		{"one frame after another", "ww.ww.ww.w", "....WWWWWW"},
		{"the credit is back", "wwwww........", "....WWWW....."},
		{"and gone again", "wwwww......wwwwww", "....WWWW.......WW"},
	} {
		var s starvation
		got := ""
		for i, w := range c.waits {
			got += map[bool]string{true: "W", false: "."}[s.see(start.Add(time.Duration(i)*watchInterval), w == 'w')]
		}
		if got != c.want {
			t.Errorf("%s: %s is seen as %s, want %s", c.name, c.waits, got, c.want)
		}
	}
}

func TestAChangeOfStarvationIsToldOnce(t *testing.T) {
	var told []bool
	u := New(Config{OnStarved: func(s bool) { told = append(told, s) }}, nil, nil, nil, nil)
	for _, s := range []bool{false, true, true, false, false, true} {
		u.flows(s, 0)
	}
	if want := []bool{true, false, true}; !slices.Equal(told, want) || !u.Stats().Starved {
		t.Errorf("told %v, want %v", told, want)
	}
}
