package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// MaxBusMessage bounds one message between nodes in bytes: what an actor
	// system puts into one request. It is far below what a server carries.
	MaxBusMessage = 1 << 20
	// busQueue and busQueueBytes bound what waits for one subscriber: some
	// seconds of a large cluster's heartbeats, or a dozen of the largest requests.
	busQueue      = 1024
	busQueueBytes = 16 << 20
	// busSubject keeps what is said on the bus apart from the streams' subjects.
	busSubject = "bus."
	// maxBusSubject bounds a subject in bytes: a word and a node's address.
	maxBusSubject = 320
	// busReconnect is the pause before the connection to the server in this
	// process is made again: shorter than the silence of a node that counts.
	busReconnect = 50 * time.Millisecond
	// busNag is the pause between two lines of log: drops have a counter.
	busNag = 10 * time.Second
	// busTimeout bounds what its caller does not.
	busTimeout = time.Minute
)

// ErrNobody says that a request has certainly reached nobody, since nobody
// listens: it may be sent elsewhere.
var ErrNobody = errors.New("nobody listens")

// BusMessage is what a subscriber gets. Data is the subscriber's.
type BusMessage struct {
	Subject string
	Data    []byte
	// Reply answers a request, at most once and to whoever still waits. It is
	// nil of a message that wants no answer.
	Reply func(data []byte) error
}

// Bus carries messages between the nodes' processes, and within one, at most
// once: nothing is stored, and what nobody listens to is gone. Messages of one
// publisher to one subject come in their order. It has a connection of its own,
// so that a heartbeat does not wait behind half a megabyte of log.
type Bus struct {
	nc      *nats.Conn
	log     *slog.Logger
	metrics *busMetrics

	mu      sync.Mutex
	subs    map[*nats.Subscription]struct{}
	dropped int // of subscriptions that ended
}

// Bus returns the server's bus; it ends with the server. Each call registers
// the metrics of the one bus with reg.
func (s *Server) Bus(reg prometheus.Registerer) *Bus {
	s.bus.register(reg)
	return s.bus
}

func newBus(ns *server.Server, log *slog.Logger) (*Bus, error) {
	b := &Bus{log: log.With("component", "bus"), metrics: newBusMetrics(), subs: make(map[*nats.Subscription]struct{})}
	var err error
	b.nc, err = nats.Connect("", nats.InProcessServer(ns), nats.Name("atrium-bus"),
		nats.MaxReconnects(-1), nats.ReconnectWait(busReconnect), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(b.complaints()))
	if err != nil {
		return nil, fmt.Errorf("connect the bus: %w", err)
	}
	return b, nil
}

// complaints logs what the connection says went wrong, which may be every
// dropped message. It says so one at a time.
func (b *Bus) complaints() nats.ErrHandler {
	var last time.Time
	return func(_ *nats.Conn, sub *nats.Subscription, err error) {
		if !last.IsZero() && time.Since(last) < busNag {
			return
		}
		last = time.Now()
		subject := ""
		if sub != nil {
			subject = sub.Subject
		}
		b.log.Warn("bus", "subject", subject, "err", err)
	}
}

// Publish sends data to whoever listens now, without waiting for anybody; data
// may be used again at once.
func (b *Bus) Publish(subject string, data []byte) error {
	if err := checkBusMessage(subject, data); err != nil {
		return fmt.Errorf("journal: publish on the bus: %w", err)
	}
	if err := b.nc.Publish(busSubject+subject, data); err != nil {
		return fmt.Errorf("journal: publish on the bus: %s: %w", subject, busError(err))
	}
	b.metrics.sent.Inc()
	return nil
}

// Subscribe calls f for each message to a subject, one at a time and in order,
// until stop is called; stop returns when f does not run any more, so that f
// must not call it. Up to 1,024 messages or 16 MiB wait while f runs; what comes
// beyond is dropped and counted. Other nodes get to know of the subscription
// soon after the call: until then their requests find nobody.
func (b *Bus) Subscribe(subject string, f func(BusMessage)) (stop func(), err error) {
	if err := checkBusSubject(subject); err != nil {
		return nil, fmt.Errorf("journal: subscribe: %w", err)
	}
	var running sync.Mutex
	stopped := false // under running
	sub, err := b.nc.Subscribe(busSubject+subject, func(m *nats.Msg) {
		running.Lock()
		defer running.Unlock()
		if !stopped {
			b.metrics.received.Inc()
			f(b.message(subject, m))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("journal: subscribe: %s: %w", subject, busError(err))
	}
	b.keep(sub)
	stop = func() {
		b.forget(sub)
		running.Lock()
		defer running.Unlock()
		stopped = true
	}
	if err := errors.Join(sub.SetPendingLimits(busQueue, busQueueBytes), b.nc.FlushTimeout(busTimeout)); err != nil {
		stop()
		return nil, fmt.Errorf("journal: subscribe: %s: %w", subject, busError(err))
	}
	return stop, nil
}

func (b *Bus) message(subject string, m *nats.Msg) BusMessage {
	if m.Reply == "" {
		return BusMessage{Subject: subject, Data: m.Data}
	}
	return BusMessage{Subject: subject, Data: m.Data, Reply: func(data []byte) error {
		if len(data) > MaxBusMessage {
			return fmt.Errorf("journal: reply on the bus: %d bytes, at most %d are carried", len(data), MaxBusMessage)
		}
		if err := b.nc.Publish(m.Reply, data); err != nil {
			return fmt.Errorf("journal: reply on the bus: %s: %w", subject, busError(err))
		}
		return nil
	}}
}

// Request sends data to whoever listens and returns the first answer. Without a
// deadline in ctx it waits a minute. ErrNobody: certainly nobody got it. Any
// other error leaves open whether somebody did.
func (b *Bus) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	if err := checkBusMessage(subject, data); err != nil {
		return nil, fmt.Errorf("journal: request on the bus: %w", err)
	}
	ctx, cancel := bounded(ctx, busTimeout)
	defer cancel()
	m, err := b.nc.RequestWithContext(ctx, busSubject+subject, data)
	b.metrics.requested(err)
	if err != nil {
		return nil, fmt.Errorf("journal: request on the bus: %s: %w", subject, busError(err))
	}
	return m.Data, nil
}

func (b *Bus) keep(sub *nats.Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[sub] = struct{}{}
}

func (b *Bus) forget(sub *nats.Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.subs[sub]; !ok {
		return // stopped twice
	}
	n, _ := sub.Dropped() // an error: the connection is closed, and with it the count
	b.dropped += n
	delete(b.subs, sub)
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		b.log.Warn("unsubscribe", "subject", sub.Subject, "err", err)
	}
}

// lost is how many messages found a full queue.
func (b *Bus) lost() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.dropped
	for sub := range b.subs {
		dropped, _ := sub.Dropped()
		n += dropped
	}
	return float64(n)
}

func checkBusMessage(subject string, data []byte) error {
	if len(data) > MaxBusMessage {
		return fmt.Errorf("%s: %d bytes, at most %d are carried", subject, len(data), MaxBusMessage)
	}
	return checkBusSubject(subject)
}

// checkBusSubject takes words of ASCII with dots between them. What the server
// takes for a wildcard is no word.
func checkBusSubject(subject string) error {
	if len(subject) > maxBusSubject {
		return fmt.Errorf("subject of %d bytes, want at most %d", len(subject), maxBusSubject)
	}
	for word := range strings.SplitSeq(subject, ".") {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' || r == '>' }) {
			return fmt.Errorf("subject %q: want words without spaces, * and >, with dots between them", subject)
		}
	}
	return nil
}

func busError(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return ErrNobody
	case errors.Is(err, nats.ErrConnectionClosed):
		return ErrClosed
	}
	return err
}
