package linear

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Twin is the history of one counter of one device: the board counts, the twin
// shows how far.
type Twin struct {
	Device    string
	Delivered []Delivery // by time, and so by value
	Answers   []Answer
}

// Delivery says that by then the board had delivered every number up to Value,
// and no other.
type Delivery struct {
	At    time.Duration
	Value int64
}

// Answer is what somebody was shown.
type Answer struct {
	By           string // the node that was asked
	Call, Return time.Duration
	Value        int64
	Stale        bool // the answer says of itself that it may be old
}

// Check returns nil if all answers are those of one register that only rises
// (I4), to numbers that its board had delivered: what one answer shows, each that
// is asked for after it shows too. bound is how much older an answer may be than
// the moment at which it was asked for; one that says that it may be old may be
// of any age.
//
// The search for an order ends soon where there is one, and may take for ever
// where there is none, so that first a faulty answer is looked for.
func (t *Twin) Check(bound time.Duration) error {
	if wrong := t.wrong(bound); wrong != "" {
		return fmt.Errorf("%s: %s", t.Device, wrong)
	}
	if err := check(rising, t.operations(bound)); err != nil {
		return fmt.Errorf("%s: %w", t.Device, err)
	}
	return nil
}

// shows and counts are the operations: an answer, and the twin's step from one
// number that somebody saw to the next one that somebody saw.
type (
	shows  struct{ value int64 }
	counts struct{ from, to int64 }
)

// rising is a register whose writes come in the order of their numbers.
var rising = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		switch in := input.(type) {
		case counts:
			return state == in.from, in.to
		case shows:
			return state == in.value, state
		}
		return false, state
	},
}

// operations makes a history of answers, and of the steps to what they show. A
// step may be taken once its number is delivered; nothing says how soon the twin
// takes it.
func (t *Twin) operations(bound time.Duration) (all []porcupine.Operation) {
	var seen []int64
	for _, a := range t.Answers {
		from := int64(a.Call - bound)
		if a.Stale {
			from = 0
		}
		all = append(all, porcupine.Operation{Input: shows{a.Value}, Call: from, Return: int64(a.Return)})
		seen = append(seen, a.Value)
	}
	slices.Sort(seen)
	last := int64(0)
	for _, v := range slices.Compact(seen) {
		if v == 0 {
			continue // before the first
		}
		all = append(all, porcupine.Operation{Input: counts{last, v}, Call: t.delivered(v), Return: never})
		last = v
	}
	return all
}

// delivered is before a number's delivery: when the one before it was last known
// to be the newest.
func (t *Twin) delivered(v int64) int64 {
	i := sort.Search(len(t.Delivered), func(i int) bool { return t.Delivered[i].Value >= v })
	switch {
	case i == len(t.Delivered):
		return never // it was not
	case i == 0:
		return 0
	}
	return int64(t.Delivered[i-1].At)
}

// wrong names an answer that fits no order, "" if there is none. That is exact:
// the register may be set to each number that was seen as soon as this is
// delivered and nobody is shown the one before it any more.
func (t *Twin) wrong(bound time.Duration) string {
	all := slices.Clone(t.Answers)
	slices.SortStableFunc(all, func(a, b Answer) int {
		return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Return, b.Return))
	})
	var newest Answer // of those of lower numbers the one that was asked for last
	for i := 0; i < len(all); {
		first, last := all[i], newest
		if int64(first.Return) < t.delivered(first.Value) {
			return fmt.Sprintf("%s showed %d by %v, which its board had not delivered", first.By, first.Value, first.Return)
		}
		if first.Return < newest.Call-bound {
			return fmt.Sprintf("%s, asked at %v, showed %d; by %v %s had shown %d", newest.By, newest.Call, newest.Value, first.Return, first.By, first.Value)
		}
		for ; i < len(all) && all[i].Value == first.Value; i++ {
			if !all[i].Stale && all[i].Call > last.Call {
				last = all[i]
			}
		}
		newest = last
	}
	return ""
}
