package journaltest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// busQueue is how many messages wait for one subscriber, as on the real bus.
const busQueue = 1024

// Bus is the double of the buses of several nodes: what one of them says the
// others hear at once, in order, unless the network between them loses it.
type Bus struct {
	mu    sync.Mutex
	nodes map[string]*NodeBus
	loses func(from, to string) bool // nil loses nothing
}

// NewBus returns a network without nodes.
func NewBus() *Bus { return &Bus{nodes: make(map[string]*NodeBus)} }

// Lose makes the network swallow what it says so of, with no word to whoever
// sent it; nil makes it whole.
func (b *Bus) Lose(loses func(from, to string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loses = loses
}

// Node returns a node's bus: to each name one.
func (b *Bus) Node(name string) *NodeBus {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nodes[name] == nil {
		b.nodes[name] = &NodeBus{net: b, name: name, subs: make(map[string][]*listener)}
	}
	return b.nodes[name]
}

// NodeBus is the double of journal.Bus, with the same methods and errors.
type NodeBus struct {
	net  *Bus
	name string

	subs    map[string][]*listener // by subject, under Bus.mu
	dropped atomic.Int64
}

// Dropped is how many messages found a full queue.
func (n *NodeBus) Dropped() int { return int(n.dropped.Load()) }

// listener is one subscription: its queue has a goroutine of its own.
type listener struct {
	queue chan journal.BusMessage
	ended chan struct{}
}

// Publish as journal.Bus's.
func (n *NodeBus) Publish(subject string, data []byte) error {
	if err := checkBus(subject, data); err != nil {
		return err
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	n.sendLocked(subject, data, nil)
	return nil
}

// sendLocked returns how many subscriptions there are, lost or not.
func (n *NodeBus) sendLocked(subject string, data []byte, reply func(from *NodeBus) func([]byte) error) (listening int) {
	for _, to := range n.net.nodes {
		for _, l := range to.subs[subject] {
			listening++
			if n.net.loses != nil && n.net.loses(n.name, to.name) {
				continue
			}
			m := journal.BusMessage{Subject: subject, Data: bytes.Clone(data)}
			if reply != nil {
				m.Reply = reply(to)
			}
			select {
			case l.queue <- m:
			default:
				to.dropped.Add(1)
			}
		}
	}
	return listening
}

// Subscribe as journal.Bus's.
func (n *NodeBus) Subscribe(subject string, f func(journal.BusMessage)) (stop func(), err error) {
	if err := checkBus(subject, nil); err != nil {
		return nil, err
	}
	l := &listener{queue: make(chan journal.BusMessage, busQueue), ended: make(chan struct{})}
	n.net.mu.Lock()
	n.subs[subject] = append(n.subs[subject], l)
	n.net.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		defer close(l.ended)
		for m := range l.queue {
			if isClosed(stopped) {
				return
			}
			f(m)
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() { close(stopped); n.leave(subject, l) })
		<-l.ended
	}, nil
}

func (n *NodeBus) leave(subject string, l *listener) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	left := n.subs[subject][:0:0]
	for _, other := range n.subs[subject] {
		if other != l {
			left = append(left, other)
		}
	}
	n.subs[subject] = left
	close(l.queue)
}

// Request as journal.Bus's.
func (n *NodeBus) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	if err := checkBus(subject, data); err != nil {
		return nil, err
	}
	answers := make(chan []byte, 1)
	n.net.mu.Lock()
	listening := n.sendLocked(subject, data, func(to *NodeBus) func([]byte) error {
		return func(answer []byte) error { return to.answer(n, answers, answer) }
	})
	n.net.mu.Unlock()
	if listening == 0 {
		return nil, fmt.Errorf("journaltest: request on the bus: %s: %w", subject, journal.ErrNobody)
	}
	select {
	case answer := <-answers:
		return answer, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("journaltest: request on the bus: %s: %w", subject, ctx.Err())
	}
}

// answer brings a reply back, if the network lets it.
func (n *NodeBus) answer(to *NodeBus, answers chan<- []byte, answer []byte) error {
	if err := checkBus("reply", answer); err != nil {
		return err
	}
	n.net.mu.Lock()
	lost := n.net.loses != nil && n.net.loses(n.name, to.name)
	n.net.mu.Unlock()
	if !lost {
		select {
		case answers <- bytes.Clone(answer):
		default: // only the first counts
		}
	}
	return nil
}

func checkBus(subject string, data []byte) error {
	if len(data) > journal.MaxBusMessage {
		return fmt.Errorf("journaltest: bus: %d bytes, at most %d are carried", len(data), journal.MaxBusMessage)
	}
	if slices.Contains(strings.Split(subject, "."), "") || strings.ContainsAny(subject, " *>\n") {
		return fmt.Errorf("journaltest: bus: subject %q: want words with dots between them", subject)
	}
	return nil
}
