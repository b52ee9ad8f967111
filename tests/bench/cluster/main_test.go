package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// A pause counts from the last thing that came, and also if it never ends.
func TestTheLongestPauseIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []*pauses{{}, {}}
		begin(all)
		for _, step := range []time.Duration{1, 3, 2} {
			time.Sleep(step * time.Second)
			all[0].came()
			all[1].came()
		}
		if most := longest(all); most != 3*time.Second {
			t.Errorf("%v", most)
		}
		time.Sleep(5 * time.Second)
		all[0].came()
		if most := longest(all[1:]); most != 5*time.Second {
			t.Errorf("a pause that has not ended: %v", most)
		}
		begin(all)
		if most := longest(all); most != 0 {
			t.Errorf("of before: %v", most)
		}
	})
}

func TestNodesTakeTurns(t *testing.T) {
	c := &nodes.Cluster{All: []*nodes.Node{{Name: "n1"}, {Name: "n2", Worker: true}, {Name: "n3", Worker: true}, {Name: "n4", Worker: true, Down: true}}}
	of := map[int]nodes.Owner{0: {Node: "n2"}, 1: {Node: "n3"}, 2: {Node: "n4"}}
	worker := events[2]
	for round, want := range []string{"n2", "n3", "n2"} {
		if n, err := choose(c, of, worker, round); err != nil || n.Name != want {
			t.Errorf("round %d: %v, %v, want %s", round, n, err, want)
		}
	}
	if _, err := choose(c, map[int]nodes.Owner{0: {Node: "n1"}}, worker, 0); err == nil {
		t.Error("a worker without a shard was taken")
	}
}

func TestTheTableHasMediansAndLongest(t *testing.T) {
	var b strings.Builder
	r := row{Event: "a worker is killed", Rounds: 3, Served: spreadOf([]times{{served: 3 * time.Second}, {served: time.Second}, {served: 2 * time.Second}}, func(t times) time.Duration { return t.served })}
	if err := printTable(&b, report{Events: []row{r}}); err != nil || !strings.Contains(b.String(), "2s / 3s") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestFramesThatEnterAtANodeWithoutTheirSiteAreSeen(t *testing.T) {
	rest := []sum{{cpu: time.Second}, {}}
	at := func(frames, other, readings, elsewhere float64) float64 {
		w, err := workFrom(2, time.Second, rest, []sum{{cpu: 3 * time.Second, frames: frames, readings: readings}, {frames: other, readings: elsewhere}})
		if err != nil || w.CPU != 3e6/w.Rate || w.AtRest != 1e6/w.Rate {
			t.Fatalf("%+v, %v", w, err)
		}
		return w.Elsewhere
	}
	if home, half, all := at(10, 30, 100, 300), at(40, 0, 200, 200), at(40, 0, 0, 400); home != 0 || half != 0.5 || all != 1 {
		t.Errorf("%v, %v, %v of the frames came by another node, want 0, 0.5, 1", home, half, all)
	}
	if _, err := workFrom(2, time.Second, rest, make([]sum, 2)); err == nil {
		t.Error("no reading has a cost")
	}
}
