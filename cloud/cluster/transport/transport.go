package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

const (
	// subject is what a node listens to, before its address.
	subject = "actors."
	// maxServed bounds the requests that a node has in hand: most of them are
	// questions whose actors have not answered yet, each with a goroutine.
	maxServed = 1024
	// maxServedBytes bounds their bytes: what one system lets wait for all others
	// (shared/actor, maxWaitingBytes).
	maxServedBytes = 32 << 20
	// nagEvery is the pause between two lines of log about answers that cannot
	// be sent.
	nagEvery = 10 * time.Second
)

// A request fits a message of the bus, whatever its system puts into it.
const _ = uint(journal.MaxBusMessage - envelope.MaxRequest)

// Bus brings requests to other nodes: journal.Bus or its double.
type Bus interface {
	Subscribe(subject string, f func(journal.BusMessage)) (stop func(), err error)
	Request(ctx context.Context, subject string, data []byte) ([]byte, error)
}

// Locator returns the address of the node that has an actor, as actor.Transport
// says of Locate.
type Locator func(ctx context.Context, id string, fresh bool) (address string, err error)

// Transport is a node's side of the traffic between actor systems. It
// implements actor.Transport.
type Transport struct {
	address string
	locate  Locator
	bus     Bus
	log     *slog.Logger
	metrics *metrics

	mu     sync.Mutex
	served int // requests in hand
	bytes  int // of these
	nagged time.Time
}

var _ actor.Transport = (*Transport)(nil)

// New returns the transport of the node with an address: HOST:PORT, as of its
// actor.Config. It takes requests of others once it is told to Serve.
func New(address string, locate Locator, bus Bus, log *slog.Logger, reg prometheus.Registerer) *Transport {
	t := &Transport{address: address, locate: locate, bus: bus, log: log.With("component", "transport")}
	t.metrics = newMetrics(reg, t)
	return t
}

// Locate implements actor.Transport.
func (t *Transport) Locate(ctx context.Context, id string, fresh bool) (string, error) {
	address, err := t.locate(ctx, id, fresh)
	if err != nil {
		return "", fmt.Errorf("transport: locate %s: %w", id, err)
	}
	return address, nil
}

// Exchange implements actor.Transport.
func (t *Transport) Exchange(ctx context.Context, address string, request []byte) ([]byte, error) {
	began := time.Now()
	answer, err := t.bus.Request(ctx, subject+address, request)
	switch {
	case err == nil:
		t.metrics.answered.Observe(time.Since(began).Seconds())
		return answer, nil
	case errors.Is(err, journal.ErrNobody):
		t.metrics.nobody.Inc()
		return nil, fmt.Errorf("transport: node %s: %w: %w", address, actor.ErrStale, err)
	}
	t.metrics.unanswered.Inc()
	return nil, fmt.Errorf("transport: node %s: %w", address, err)
}

// Serve gives the requests of other nodes to the engine until ctx ends, and
// returns when none is in hand any more: those that are then are answered that
// their time is over. An error means that it never served.
func (t *Transport) Serve(ctx context.Context, engine *actor.Engine) error {
	var inHand sync.WaitGroup
	defer inHand.Wait()
	stop, err := t.bus.Subscribe(subject+t.address, func(m journal.BusMessage) {
		if m.Reply == nil {
			t.metrics.unasked.Inc()
			return
		}
		if !t.admit(len(m.Data)) {
			t.answer(m, t.full())
			return
		}
		inHand.Go(func() {
			defer t.release(len(m.Data))
			t.answer(m, engine.Receive(ctx, m.Data))
		})
	})
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	defer stop()
	<-ctx.Done()
	return nil
}

// full is the answer to a request that is not looked at: there is no room, as
// in a mailbox. It stands for all of its messages.
func (t *Transport) full() []byte {
	t.metrics.full.Inc()
	return envelope.AppendAnswer(nil, []envelope.Receipt{{
		Outcome: envelope.Full,
		Text:    fmt.Sprintf("node %s has too many requests in hand", t.address),
	}})
}

func (t *Transport) answer(m journal.BusMessage, answer []byte) {
	err := m.Reply(answer)
	if err == nil {
		return
	}
	t.metrics.lost.Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.nagged.IsZero() || now.Sub(t.nagged) >= nagEvery {
		t.nagged = now
		t.log.Warn("an answer to another node was not sent", "err", err)
	}
}

// admit takes room for a request, if there is any.
func (t *Transport) admit(size int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.served >= maxServed || t.bytes+size > maxServedBytes {
		return false
	}
	t.served++
	t.bytes += size
	return true
}

func (t *Transport) release(size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.served--
	t.bytes -= size
}

func (t *Transport) inHand() float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return float64(t.served)
}
