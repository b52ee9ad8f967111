package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

func barrier(seq, epoch, previous uint64, owner string) fence {
	return fence{journal.Barrier{Incarnation: 1, Epoch: epoch, Owner: owner, Previous: previous}, seq}
}

// An owner's barrier comes again before a purge, and another's has a higher
// epoch.
func TestALogWithOneOwnerAnEpochPasses(t *testing.T) { // I3
	c := chain{barrier(9, 2, 1, "n1"), barrier(20, 2, 9, "n1"), barrier(25, 3, 20, "n2")}
	if wrong := c.check(); len(wrong) > 0 || c.claims() != 2 {
		t.Errorf("%d claims, %q", c.claims(), wrong)
	}
}

func TestTwoOwnersOfALogAreFound(t *testing.T) { // I3
	first := barrier(9, 2, 1, "n1")
	for what, second := range map[string]fence{
		"one epoch of two":               barrier(20, 2, 9, "n2"),
		"a lower epoch":                  barrier(20, 1, 9, "n2"),
		"a barrier that knows not this":  barrier(20, 3, 1, "n2"),
		"its own again, from before":     barrier(20, 2, 1, "n1"),
		"a claim that knows what is not": barrier(20, 3, 12, "n2"),
	} {
		if wrong := (chain{first, second}).check(); len(wrong) != 1 {
			t.Errorf("%s: %q", what, wrong)
		}
	}
}

func TestWhatMovedIsCountedByOwners(t *testing.T) {
	was := map[int]nodes.Owner{0: {Node: "n1", Epoch: 1}, 1: {Node: "n2", Epoch: 4}, 2: {Node: "n2", Epoch: 1}}
	is := map[int]nodes.Owner{0: {Node: "n1", Epoch: 1}, 1: {Node: "n1", Epoch: 5}, 2: {Node: "n2", Epoch: 3}}
	if n := moves(was, is); n != 1 || count(was, "n2") != 2 {
		t.Errorf("%d moves, of %d", n, count(was, "n2"))
	}
}

func TestEveryScenarioSaysWhatItProtects(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range program().Check(readme) {
		t.Error(wrong)
	}
}

func TestTheNewestSnapshotIsFound(t *testing.T) {
	names := []string{"manifest.9", "site.hq.9", "site.lab.2.100", "manifest.10", "site.hq.10", "strange", "site.hq.x"}
	for kind, want := range map[string]string{"manifest.": "manifest.10", "site.hq.": "site.hq.10", "site.": "site.lab.2.100", "none.": ""} {
		if got := newest(names, kind); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

// What is called the version before is a commit, so that who clones has it.
func TestTheVersionBeforeIsACommit(t *testing.T) {
	if !regexp.MustCompile("^[0-9a-f]{40}\n$").MatchString(previous) {
		t.Errorf("%q", previous)
	}
}
