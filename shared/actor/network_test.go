package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor"
)

// network joins the systems of one process, and does to their requests what a
// network and a changing cluster do.
type network struct {
	mu        sync.Mutex
	nodes     map[string]*actor.ActorSystem
	owners    map[string]string // address by ID
	exchanges int
	fault     func(address string) fault                 // of the next exchange; nil is none
	search    func(ctx context.Context, id string) error // before each Locate; nil is none
}

// fault is what happens to one request. The zero fault is nothing.
type fault struct {
	delay      time.Duration // before it arrives, however long its sender waits
	lost       bool
	answerLost bool
	again      time.Duration // after its arrival it comes once more
}

// link is the network as one node sees it.
type link struct {
	*network
	self  string
	mu    sync.Mutex
	cache map[string]string // address by ID
}

var errLost = errors.New("nothing came back")

func newNetwork() *network {
	return &network{nodes: map[string]*actor.ActorSystem{}, owners: map[string]string{}}
}

// join makes a system whose transport is the network.
func (n *network) join(t tb, name string) (*actor.ActorSystem, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	l := &link{network: n, self: name + ":1", cache: map[string]string{}}
	s := actor.NewActorSystem(actor.Config{Address: name, Port: 1}, slog.New(slog.DiscardHandler),
		actor.WithMetrics(reg), actor.WithTransport(l))
	n.mu.Lock()
	n.nodes[name+":1"] = s
	n.mu.Unlock()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s, reg
}

// move says where an actor is from now on. Its old node knows; others that
// looked before find out.
func (n *network) move(id, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.owners[id] = name + ":1"
}

func (n *network) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.exchanges
}

// faults makes each exchange suffer what f says.
func (n *network) faults(f func() fault) {
	n.faultsAt(func(string) fault { return f() })
}

// faultsAt is faults by the address that a request goes to.
func (n *network) faultsAt(f func(address string) fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = f
}

// Locate implements actor.Transport.
func (l *link) Locate(ctx context.Context, id string, fresh bool) (string, error) {
	l.network.mu.Lock()
	search := l.search
	l.network.mu.Unlock()
	if search != nil {
		if err := search(ctx, id); err != nil {
			return "", err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	address, ok := l.owners[id]
	if !ok {
		return "", fmt.Errorf("nobody has %q", id)
	}
	if old := l.cache[id]; old != "" && !fresh && old != l.self && address != l.self {
		return old, nil // a node knows its own actors
	}
	l.cache[id] = address
	return address, nil
}

// Exchange implements actor.Transport.
func (l *link) Exchange(ctx context.Context, address string, request []byte) ([]byte, error) {
	l.network.mu.Lock()
	l.exchanges++
	node := l.nodes[address]
	var f fault
	if l.fault != nil {
		f = l.fault(address)
	}
	l.network.mu.Unlock()
	if node == nil && !f.lost {
		return nil, actor.ErrStale
	}
	answered := make(chan []byte, 1)
	if !f.lost {
		go func() {
			time.Sleep(f.delay)
			answer := node.Engine().Receive(context.Background(), request)
			if f.again > 0 {
				time.Sleep(f.again)
				node.Engine().Receive(context.Background(), request)
			}
			if !f.answerLost {
				answered <- answer
			}
		}()
	}
	select {
	case answer := <-answered:
		return answer, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errLost, ctx.Err())
	}
}

// searches makes each Locate call f before it answers.
func (n *network) searches(f func(ctx context.Context, id string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.search = f
}

// weather makes faults of all kinds from a seed.
func weather(seed uint64) func() fault {
	random := rand.New(rand.NewPCG(seed, 1))
	return func() (f fault) {
		switch random.IntN(16) {
		case 0:
			f.lost = true
		case 1:
			f.answerLost = true
		case 2:
			f.again = time.Duration(random.IntN(20_000)) * time.Millisecond
		case 3:
			f.delay = time.Duration(random.IntN(20_000)) * time.Millisecond
		case 4, 5:
			f.delay = time.Duration(random.IntN(20)) * time.Millisecond
		}
		return f
	}
}

// note is a message that travels: a number, or the question for the sum.
type note struct {
	n     int
	reply actor.Reply[int]
	asks  bool
}

// notes is the codec of note.
var notes = &actor.Codec[note]{
	Name: "note/1",
	Append: func(dst []byte, m note) ([]byte, error) {
		switch {
		case m.n == unspeakable:
			return nil, errors.New("unspeakable")
		case m.asks:
			return append(dst, '?'), nil
		case m.n == bulky:
			return append(dst, make([]byte, 300<<10)...), nil
		}
		return strconv.AppendInt(dst, int64(m.n), 10), nil
	},
	Parse: func(body []byte) (note, error) {
		switch text := string(body); {
		case text == "?":
			return note{asks: true}, nil
		case strings.HasPrefix(text, "!"):
			panic("a codec that panics")
		default:
			n, err := strconv.Atoi(text)
			return note{n: n}, err
		}
	},
	Answers: []actor.Answer[note]{actor.AnswerOf("sum",
		func(m *note, to actor.Reply[int]) bool { m.reply = to; return m.asks },
		func(dst []byte, sum int) ([]byte, error) {
			switch sum {
			case unspeakable:
				return nil, errors.New("unspeakable")
			case unreadable:
				return append(dst, '!'), nil
			}
			return strconv.AppendInt(dst, int64(sum), 10), nil
		},
		func(body []byte) (int, error) {
			if string(body) == "!" {
				panic("a codec that panics")
			}
			return strconv.Atoi(string(body))
		},
	)},
}

// Numbers that notes can't encode, or not in the room there is.
const (
	unspeakable = -1
	bulky       = -2
	unreadable  = -3 // its codec panics where it arrives
)

// adder sums the notes up and answers with the sum; it keeps them in order.
type adder struct {
	mu   sync.Mutex
	got  []int
	sum  int
	gate chan struct{} // nil, or Receive waits for it
}

func (a *adder) Receive(c *actor.ContextOf[note]) {
	if a.gate != nil {
		<-a.gate
	}
	m := c.Message()
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.asks {
		m.reply.Send(a.sum)
		return
	}
	a.got = append(a.got, m.n)
	a.sum += m.n
}

func (a *adder) seen() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.got...)
}

// host spawns an adder that is open to other nodes.
func host(t tb, n *network, s *actor.ActorSystem, name, id string, a *adder, size int) actor.Ref[note] {
	t.Helper()
	ref := spawn(t, s, actor.PropsOf(func() actor.ReceiverOf[note] { return a }).
		WithCodec(notes).WithMailbox(actor.Mailbox{Size: size}), id)
	n.move(id, name)
	return ref
}

// refTo is a reference from one node to an actor that is thought to be at name;
// "" says nothing about where.
func refTo(t tb, from *actor.ActorSystem, name, id string) actor.Ref[note] {
	t.Helper()
	if name != "" {
		name += ":1"
	}
	ref, err := actor.RefAt(from.Engine(), actor.PID{Address: name, ID: id}, notes)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func ask(ctx context.Context, ref actor.Ref[note]) (int, error) {
	return actor.Ask(ctx, ref, func(r actor.Reply[int]) note { return note{asks: true, reply: r} })
}

func numbers(from, to int) (all []note) {
	for i := from; i <= to; i++ {
		all = append(all, note{n: i})
	}
	return all
}
