package mpsc_test

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/bench/actors/reference/mpsc"
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

func (h *inOrder) Handle(e *[2]int) {
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
	s := mpsc.New[[2]int]()
	defer s.Close()
	h := &inOrder{t: t, last: map[int]int{}, want: senders * each, done: make(chan struct{})}
	a := s.Spawn(h)
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			for k := 1; k <= each; k++ {
				a.Tell([2]int{i, k})
			}
		})
	}
	sending.Wait()
	<-h.done
}
