package link

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Unix(1e9, 0)

func TestAPerfectLinkPassesEverythingAtOnce(t *testing.T) {
	s := newShaper(1)
	for range 100 {
		if due, reason := s.admit(Conditions{}, Up, 1200, t0); reason != Passed || !due.Equal(t0) {
			t.Fatalf("due %v, %v", due.Sub(t0), reason)
		}
	}
}

func TestACutDropsEverything(t *testing.T) {
	if _, reason := newShaper(1).admit(Conditions{CutUp: true, CutDown: true}, Down, 1, t0); reason != DropCut {
		t.Error(reason)
	}
}

func TestLossIsAsAskedAndRepeatable(t *testing.T) {
	run := func(seed uint64) (lost []int) {
		s := newShaper(seed)
		for i := range 20_000 {
			if _, reason := s.admit(Conditions{Drop: 12.5}, Up, 1, t0); reason == DropLoss {
				lost = append(lost, i)
			}
		}
		return lost
	}
	a, b := run(1), run(1)
	if math.Abs(float64(len(a))-2500) > 250 {
		t.Errorf("%d of 20000 lost, want 12.5 %%", len(a))
	}
	if len(a) != len(b) || a[10] != b[10] {
		t.Error("one seed loses different packets")
	}
	for range 1000 {
		if _, reason := newShaper(1).admit(Conditions{Drop: 100}, Up, 1, t0); reason != DropLoss {
			t.Fatal("a packet passed at 100 %")
		}
	}
}

func TestDelayAndJitterStayWithinTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newShaper(rapid.Uint64().Draw(t, "seed"))
		c := Conditions{
			Delay:  time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "delay")),
			Jitter: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "jitter")),
		}
		due, _ := s.admit(c, Up, 1, t0)
		if d := due.Sub(t0); d < c.Delay || d > c.Delay+c.Jitter {
			t.Fatalf("delayed %v under %+v", d, c)
		}
	})
}

func TestARateSerialisesEachDirectionByItself(t *testing.T) {
	s := newShaper(1)
	c := Conditions{Kbps: 1000, Delay: time.Second} // 1000 bytes take 8 ms
	for i := range 10 {
		due, _ := s.admit(c, Up, 1000, t0)
		if want := time.Second + time.Duration(i+1)*8*time.Millisecond; due.Sub(t0) != want {
			t.Errorf("packet %d is due after %v, want %v", i, due.Sub(t0), want)
		}
	}
	if due, _ := s.admit(c, Down, 1000, t0); due.Sub(t0) != 1008*time.Millisecond {
		t.Errorf("the other direction waited: %v", due.Sub(t0))
	}
	if due, _ := s.admit(c, Up, 1000, t0.Add(time.Minute)); due.Sub(t0) != time.Minute+1008*time.Millisecond {
		t.Errorf("an idle line owes time: %v", due.Sub(t0))
	}
}

// The model is a list: packets leave in the order of (due, arrival), none is
// lost or doubled, and none leaves early.
func TestTheQueueGivesEveryPacketOnceWhenItIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue()
		var model []time.Duration // due of packet i; -1 once it left
		now := t0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				due := now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "delay")))
				q.add(due, Up, nil, []byte{byte(len(model) >> 8), byte(len(model))})
				model = append(model, due.Sub(t0))
			},
			"next": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "pass")))
				first := -1
				for i, due := range model {
					if due >= 0 && (first < 0 || due < model[first]) {
						first = i
					}
				}
				p, wait := q.next(now)
				switch {
				case first < 0:
					if p != nil || wait >= 0 {
						t.Fatalf("an empty queue gave %v, %v", p, wait)
					}
				case t0.Add(model[first]).After(now):
					if want := model[first] - now.Sub(t0); p != nil || wait != want {
						t.Fatalf("gave %v, wait %v, want nothing for %v", p, wait, want)
					}
				default:
					if p == nil || p.n != 2 || int(p.data[0])<<8|int(p.data[1]) != first {
						t.Fatalf("gave %v, want packet %d", p, first)
					}
					model[first] = -1
					q.release(p)
				}
			},
		})
	})
}

// I5: what waits is bounded, and what was dropped does not occupy the line: an
// overload may not delay what comes after it by more than what waits.
func TestTheQueueIsBoundedAndDroppedPacketsTakeNoTimeOfTheLine(t *testing.T) {
	r := &Relay{queue: newQueue(), shaper: newShaper(1), changed: make(chan struct{}), conditions: Conditions{Kbps: 8}}
	c, second := &client{}, make([]byte, 1000) // a second each at 8 kbit/s
	for range maxQueued {
		if reason := r.enqueue(Up, c, second, t0); reason != Passed {
			t.Fatal(reason)
		}
	}
	for range 500 {
		if reason := r.enqueue(Up, c, second, t0); reason != DropQueue {
			t.Fatal(reason)
		}
	}
	if _, wait := r.queue.next(t0); wait != time.Second {
		t.Errorf("the first packet is due in %v", wait)
	}
	if busy := r.shaper.free[Up].Sub(t0); busy != maxQueued*time.Second {
		t.Errorf("the line is taken for %v, want %v", busy, maxQueued*time.Second)
	}

	// A cut takes what waits off the line.
	r.Set(func(c *Conditions) { c.CutUp, c.CutDown = true, true })
	r.Set(func(c *Conditions) { c.CutUp, c.CutDown = false, false })
	if n := r.count.dropped[Up][DropCut].Load(); n != maxQueued || r.queue.len() != 0 {
		t.Errorf("the cut dropped %d, left %d", n, r.queue.len())
	}
	if reason := r.enqueue(Up, c, second, t0); reason != Passed {
		t.Fatal(reason)
	}
	if _, wait := r.queue.next(t0); wait != time.Second {
		t.Errorf("after the cut a packet is due in %v, want 1s", wait)
	}
}
