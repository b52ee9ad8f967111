package mailbox

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// longest is how many messages of the other lanes may pass a lane that waits.
var longest = [Lanes]int{High: 5, Normal: 9, Bulk: 12}

// While all lanes have messages, each gets its part of every 13, whatever the
// batches are and wherever they are given back.
func TestTheLanesShareTheActorInRounds(t *testing.T) {
	const want = "HHHHHHHHNNNNB"
	rapid.Check(t, func(t *rapid.T) {
		var (
			box   Box[int]
			batch Batch[int]
			pool  Pool[int]
			got   strings.Builder
		)
		for range 10 * len(want) {
			for _, lane := range []Lane{Normal, High, Bulk} {
				box.Put(lane, 0, &pool)
			}
		}
		for got.Len() < 10*len(want) {
			if !box.Take(&batch, rapid.Int32Range(1, 20).Draw(t, "most")) {
				t.Fatal("the box is said to be empty")
			}
			handled := int32(0)
			for part := batch.Next(&pool); part != nil; part = batch.Next(&pool) {
				k := rapid.IntRange(0, len(part)).Draw(t, "handled")
				handled += int32(k)
				got.WriteString(strings.Repeat(map[Lane]string{Normal: "N", High: "H", Bulk: "B"}[batch.Lane], k))
				if k < len(part) {
					batch.Keep(k)
					break
				}
				batch.Spent()
			}
			box.Done(batch.Lane, handled)
			box.Return(&batch, &pool)
		}
		if s := got.String(); !strings.HasPrefix(s, strings.Repeat(want, 10)) {
			t.Fatalf("order %s, want rounds of %s", s, want)
		}
	})
}

// A lane that had its part while the others had nothing does not wait for two
// of their rounds: so the most that may pass it is what others have in one.
func TestNoLaneWaitsLongerThanOneRoundOfTheOthers(t *testing.T) {
	for waiting, most := range longest {
		lane := Lane(waiting)
		if lane == Control {
			continue
		}
		var (
			box   Box[Lane]
			batch Batch[Lane]
			pool  Pool[Lane]
		)
		handle := func(n int) (got Lane) {
			for range n {
				box.Take(&batch, 1)
				got = batch.Next(&pool)[0]
				batch.Spent()
				box.Done(got, 1)
				box.Return(&batch, &pool)
			}
			return got
		}
		for range int(round[lane]) + 1 {
			box.Put(lane, lane, &pool)
		}
		handle(int(round[lane])) // its part, while it is alone
		for range 40 {
			for _, other := range []Lane{High, Normal, Bulk} {
				if other != lane {
					box.Put(other, other, &pool)
				}
			}
		}
		passed := 0
		for handle(1) != lane {
			passed++
		}
		if passed > most {
			t.Errorf("%d messages passed one on %v, want at most %d", passed, lane, most)
		}
	}
}

// In steady state a mailbox allocates nothing, deep or shallow.
func TestABusyBoxAllocatesNothing(t *testing.T) {
	var (
		box   Box[[4]int]
		batch Batch[[4]int]
		pool  Pool[[4]int]
	)
	cycle := func() {
		for _, n := range []int{1, 2, 3, 40, 200} {
			for _, lane := range []Lane{Normal, High, Bulk, Control} {
				for range n {
					box.Put(lane, [4]int{}, &pool)
				}
			}
			for box.Take(&batch, 100) {
				handled := 0
				for part := batch.Next(&pool); part != nil; part = batch.Next(&pool) {
					handled += len(part)
					batch.Spent()
				}
				box.Done(batch.Lane, int32(handled))
				box.Return(&batch, &pool)
			}
		}
	}
	cycle()
	// A cycle fills more than 70 chunks. Under the race detector a sync.Pool
	// forgets a quarter of what it is given, and else none.
	if n := testing.AllocsPerRun(200, cycle); n > 35 {
		t.Errorf("%v allocations a cycle: the chunks are not used again", n)
	}
}
