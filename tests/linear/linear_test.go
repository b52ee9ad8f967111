package linear

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// counted is a board that delivers a number every 50 ms, from 1 at 50 ms.
func counted(n int) (all []Delivery) {
	for i := range n + 1 {
		all = append(all, Delivery{At: time.Duration(i) * 50 * ms, Value: int64(i)})
	}
	return all
}

func answer(by string, call, back time.Duration, value int64) Answer {
	return Answer{By: by, Call: call * ms, Return: back * ms, Value: value}
}

func TestAnswersOfOneRegisterThatRisesPass(t *testing.T) { // I4
	h := Twin{Device: "hq/c1", Delivered: counted(100), Answers: []Answer{
		answer("n1", 10, 20, 0), answer("n2", 300, 320, 4), answer("n1", 310, 330, 5),
		answer("n3", 305, 600, 4), // began before n1 showed 5
		answer("n2", 700, 710, 5), answer("n2", 2000, 2010, 40),
	}}
	if err := h.Check(0); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerThatGoesBackIsFound(t *testing.T) { // I4
	h := Twin{Device: "hq/c1", Delivered: counted(100), Answers: []Answer{
		answer("n1", 1000, 1010, 18), answer("n2", 1100, 1110, 17),
	}}
	err := h.Check(0)
	if err == nil || !strings.Contains(err.Error(), "n2, asked at 1.1s, showed 17; by 1.01s n1 had shown 18") {
		t.Errorf("%v", err)
	}
	if err := h.Check(89 * ms); err == nil {
		t.Error("an answer 90 ms too old was taken as one of 89")
	}
	if err := h.Check(90 * ms); err != nil {
		t.Errorf("within the bound: %v", err)
	}
	h.Answers[1].Stale = true
	if err := h.Check(0); err != nil {
		t.Errorf("it said so: %v", err)
	}
}

func TestANumberThatNobodyDeliveredIsFound(t *testing.T) {
	for _, stale := range []bool{false, true} {
		h := Twin{Device: "hq/c1", Delivered: counted(10), Answers: []Answer{answer("n1", 100, 120, 5)}}
		h.Answers[0].Stale = stale
		if err := h.Check(time.Second); err == nil || !strings.Contains(err.Error(), "had not delivered") {
			t.Errorf("a number from the future: %v", err)
		}
		h.Answers[0] = Answer{By: "n1", Call: time.Second, Return: 2 * time.Second, Value: 11, Stale: stale}
		if err := h.Check(time.Second); err == nil {
			t.Error("a number that was never delivered was taken")
		}
	}
}

// What is said to be wrong is what has no order: on small histories of any kind,
// where the search ends.
func TestAFaultyAnswerIsNamedExactlyWhereThereIsNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Twin{Device: "hq/c1", Delivered: counted(8)}
		for range rapid.IntRange(1, 10).Draw(t, "answers") {
			call, long := rapid.IntRange(0, 20).Draw(t, "call"), rapid.IntRange(0, 10).Draw(t, "long")
			h.Answers = append(h.Answers, Answer{
				By: "n1", Call: time.Duration(call) * 20 * ms, Return: time.Duration(call+long) * 20 * ms,
				Value: rapid.Int64Range(0, 8).Draw(t, "value"), Stale: rapid.IntRange(0, 5).Draw(t, "stale") == 0,
			})
		}
		bound := time.Duration(rapid.IntRange(0, 10).Draw(t, "bound")) * 10 * ms
		wrong, err := h.wrong(bound), check(rising, h.operations(bound))
		if errors.Is(err, errUndecided) || (wrong == "") != (err == nil) {
			t.Fatalf("%q, %v", wrong, err)
		}
	})
}

// Whatever a register shows that is read at moments within each answer's time
// passes; with one answer set back below what was shown before, it does not.
func TestAHistoryPassesUntilOneAnswerIsSetBack(t *testing.T) { // I4
	rapid.Check(t, func(t *rapid.T) {
		h := Twin{Device: "hq/c1", Delivered: counted(200)}
		for range rapid.IntRange(2, 60).Draw(t, "answers") {
			at := time.Duration(rapid.IntRange(500, 9000).Draw(t, "at")) * ms
			before, after := time.Duration(rapid.IntRange(0, 300).Draw(t, "before"))*ms, time.Duration(rapid.IntRange(0, 300).Draw(t, "after"))*ms
			h.Answers = append(h.Answers, Answer{By: "n1", Call: at - before, Return: at + after, Value: int64((at - 200*ms) / (50 * ms))})
		}
		if err := h.Check(0); err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, len(h.Answers)-1).Draw(t, "which")
		a := &h.Answers[i]
		highest := int64(0)
		for _, b := range h.Answers {
			if b.Return < a.Call {
				highest = max(highest, b.Value)
			}
		}
		if highest == 0 {
			t.Skip("nothing was shown before it")
		}
		a.Value = highest - 1
		if err := h.Check(0); err == nil {
			t.Fatalf("answer %d shows %d after %d", i, a.Value, highest)
		}
	})
}

// Three people ask ten times a second for five minutes, of owners that lag by up
// to three seconds.
func TestATrialsHistoryIsDecided(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	h := Twin{Device: "hq/c1", Delivered: counted(6000)}
	for i := range 9000 {
		at := time.Duration(i)*33*ms + 3*time.Second
		h.Answers = append(h.Answers, Answer{
			By: "n1", Call: at, Return: at + time.Duration(rng.IntN(50))*ms,
			Value: int64((at - time.Duration(rng.IntN(2900))*ms) / (50 * ms)),
		})
	}
	if err := h.Check(3 * time.Second); err != nil {
		t.Error(err)
	}
}

func change(by string, call, back time.Duration, expect uint64, text string, o Outcome, revision uint64) Change {
	return Change{By: by, Call: call * ms, Return: back * ms, Expect: expect, Text: text, Outcome: o, Revision: revision}
}

func look(by string, call, back time.Duration, revision uint64, text string) Look {
	return Look{By: by, Call: call * ms, Return: back * ms, Revision: revision, Text: text}
}

func TestChangesOfOneRegisterPass(t *testing.T) {
	h := Document{Name: "d", Changes: []Change{
		change("n1", 0, 10, 0, "a", Done, 3), change("n2", 5, 20, 0, "b", Conflict, 3),
		change("n1", 30, 50, 3, "c", Unknown, 0), change("n2", 31, 40, 3, "d", Conflict, 7), // c is made
		change("n2", 60, 70, 7, "e", Done, 9), change("n1", 80, 90, 9, "", Done, 0),
		change("n1", 95, 100, 9, "f", Conflict, 0), change("n3", 96, 110, 0, "g", Unknown, 0), // perhaps later
		change("n1", 120, 130, 0, "h", Done, 12), change("n1", 130, 140, Any, "i", Unknown, 0), // made, and
		change("n1", 150, 160, 12, "j", Conflict, 14), change("n2", 161, 170, Any, "k", Done, 15), // gone unseen
	}, Looks: []Look{look("n1", 32, 60, 7, "c"), look("n2", 0, 5, 0, ""), look("n2", 55, 57, 3, "a"), look("n2", 56, 58, 7, "c")}}
	if err := h.Check(); err != nil {
		t.Error(err)
	}
}

func TestChangesWithoutAnOrderAreFound(t *testing.T) {
	for what, h := range map[string]Document{
		"two replaced one revision": {Changes: []Change{
			change("n1", 0, 10, 0, "a", Done, 3), change("n1", 20, 30, 3, "b", Done, 4), change("n2", 20, 30, 3, "c", Done, 5),
		}},
		"a conflict with what had been replaced": {Changes: []Change{
			change("n1", 0, 10, 0, "a", Done, 3), change("n1", 20, 30, 3, "b", Done, 4), change("n2", 40, 50, 4, "c", Conflict, 3),
		}},
		"a conflict with what it expected": {Changes: []Change{
			change("n1", 0, 10, 0, "a", Done, 3), change("n2", 40, 50, 3, "c", Conflict, 3),
		}},
		"a conflict with what nobody wrote": {Changes: []Change{
			change("n1", 0, 10, 0, "a", Done, 3), change("n2", 40, 50, 4, "c", Conflict, 8),
		}},
		"a change before its call": {Changes: []Change{
			change("n1", 0, 10, 0, "a", Done, 3), change("n1", 60, 70, 3, "b", Unknown, 0), change("n2", 20, 30, 3, "c", Conflict, 4),
		}, Looks: []Look{look("n1", 80, 90, 4, "b")}},
		"one was made again after it was replaced": {Changes: []Change{
			change("n1", 0, 10, 0, "a", Done, 3), change("n1", 20, 30, 3, "b", Done, 4), change("n1", 40, 50, 3, "c", Conflict, 3),
		}},
		"a deleted one was there": {Changes: []Change{
			change("n1", 0, 10, 0, "a", Done, 3), change("n1", 20, 30, 3, "", Done, 0), change("n2", 40, 50, 3, "c", Done, 5),
		}},
	} {
		if err := h.Check(); err == nil {
			t.Errorf("%s: no fault was found", what)
		}
	}
}

func TestANodesCopyThatGoesBackOrAheadIsFound(t *testing.T) {
	changes := []Change{change("n1", 0, 10, 0, "a", Done, 3), change("n1", 20, 30, 3, "b", Done, 4)}
	for what, looks := range map[string][]Look{
		"back":             {look("n2", 40, 50, 4, "b"), look("n2", 60, 70, 3, "a")},
		"another revision": {look("n2", 40, 50, 5, "b")},
		"nobody's":         {look("n2", 40, 50, 5, "z")},
		"ahead":            {look("n2", 5, 15, 4, "b")},
	} {
		h := Document{Name: "d", Changes: changes, Looks: looks}
		if err := h.Check(); err == nil {
			t.Errorf("%s: no fault was found", what)
		}
	}
}

// Whatever clients do to one register passes, however many answers are lost; a
// write that two clients take for theirs does not.
func TestAHistoryPassesUntilOneRevisionIsReplacedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		h, replaced := registered(rng, rapid.IntRange(3, 80).Draw(t, "changes"))
		if err := h.Check(); err != nil {
			t.Fatal(err)
		}
		if replaced < 0 {
			t.Skip("nothing was replaced")
		}
		twin := h.Changes[replaced]
		twin.Text, twin.Revision = "sabotage", 1<<20
		h.Changes = append(h.Changes, twin)
		if err := h.Check(); err == nil {
			t.Fatalf("revision %d was replaced twice", twin.Expect)
		}
	})
}

// registered is a history of a true register, in the order in which it stepped,
// and which of its changes certainly replaced a revision, -1 for none.
func registered(rng *rand.Rand, n int) (h Document, replaced int) {
	h.Name, replaced = "d", -1
	revision, text, seen := uint64(0), "", uint64(0)
	for i := range n {
		at := time.Duration(i) * 10
		c := change("n1", at-time.Duration(rng.IntN(30)), at+time.Duration(rng.IntN(30)), seen, string(rune('A'+i)), Done, 0)
		if rng.IntN(6) == 0 && seen != 0 {
			c.Text = ""
		}
		switch {
		case revision != c.Expect:
			c.Outcome, c.Revision = Conflict, revision
		default:
			revision, text = uint64(i)+1, c.Text
			if c.Text == "" {
				revision = 0
			}
			if c.Revision = revision; c.Text != "" && c.Expect != 0 {
				replaced = len(h.Changes)
			}
		}
		if rng.IntN(4) == 0 {
			c.Outcome, c.Revision = Unknown, 0
			if replaced == len(h.Changes) {
				replaced = -1
			}
		}
		h.Changes = append(h.Changes, c)
		if rng.IntN(2) == 0 {
			seen = revision
			h.Looks = append(h.Looks, look("n1", at+1, at+2, revision, text))
		}
	}
	h.Looks = slices.DeleteFunc(h.Looks, func(l Look) bool { return l.Revision == 0 })
	return h, replaced
}
