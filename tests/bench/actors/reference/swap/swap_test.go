package swap_test

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/bench/actors/reference/swap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inOrder checks that each sender's numbers come one after another.
type inOrder struct {
	t    *testing.T
	last map[int]int
	want int
	got  int
	done chan struct{}
}

func (h *inOrder) Handle(_ *swap.Turn[[2]int], e *[2]int) {
	if h.last[e[0]]+1 != e[1] {
		h.t.Errorf("sender %d: %d after %d", e[0], e[1], h.last[e[0]])
	}
	h.last[e[0]] = e[1]
	if h.got++; h.got == h.want {
		close(h.done)
	}
}

func TestEachSendersMessagesArriveOnceAndInOrder(t *testing.T) {
	const senders, each = 4, 2_500
	s := swap.New[[2]int]()
	defer s.Close()
	h := &inOrder{t: t, last: map[int]int{}, want: senders * each, done: make(chan struct{})}
	a := s.Spawn(h, 0)
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			var turn swap.Turn[[2]int]
			for k := 1; k <= each; k++ {
				e := [2]int{i, k}
				switch {
				case k%7 == 0 && a.RunInline(&turn, &e):
				case k%3 == 0:
					a.TellBatch([][2]int{e})
				default:
					a.Tell(e)
				}
			}
		})
	}
	sending.Wait()
	<-h.done
}

// gate holds its first message until it is opened.
type gate struct{ entered, open chan struct{} }

func (g gate) Handle(_ *swap.Turn[int], e *int) {
	if *e == 0 {
		close(g.entered)
		<-g.open
	}
}

func TestAFullMailboxRefuses(t *testing.T) {
	s := swap.New[int]()
	defer s.Close()
	g := gate{make(chan struct{}), make(chan struct{})}
	a := s.Spawn(g, 20)
	a.Tell(0)
	<-g.entered
	for i := range 20 {
		if !a.Tell(i + 1) {
			t.Fatalf("message %d of 20 is refused", i+1)
		}
	}
	if a.Tell(21) {
		t.Error("message 21 is accepted by a mailbox of 20")
	}
	close(g.open)
}
