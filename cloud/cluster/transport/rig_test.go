package transport

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor"
)

// patience bounds what must happen.
const patience = time.Minute

// note is a message that travels: a number, or the question for the sum.
type note struct {
	n     int
	asks  bool
	reply actor.Reply[int]
}

var notes = &actor.Codec[note]{
	Name: "note/1",
	Append: func(dst []byte, m note) ([]byte, error) {
		if m.asks {
			return append(dst, '?'), nil
		}
		return strconv.AppendInt(dst, int64(m.n), 10), nil
	},
	Parse: func(body []byte) (note, error) {
		if string(body) == "?" {
			return note{asks: true}, nil
		}
		n, err := strconv.Atoi(string(body))
		return note{n: n}, err
	},
	Answers: []actor.Answer[note]{actor.AnswerOf("sum",
		func(m *note, to actor.Reply[int]) bool { m.reply = to; return m.asks },
		func(dst []byte, sum int) ([]byte, error) { return strconv.AppendInt(dst, int64(sum), 10), nil },
		func(body []byte) (int, error) { return strconv.Atoi(string(body)) },
	)},
}

// adder sums up what it is told. A mute one answers no question.
type adder struct {
	mu   sync.Mutex
	sum  int
	mute bool
	held []actor.Reply[int] // of questions that a mute one got
}

func (a *adder) Receive(c *actor.ContextOf[note]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch m := c.Message(); {
	case m.asks && a.mute:
		a.held = append(a.held, m.reply)
	case m.asks:
		m.reply.Send(a.sum)
	default:
		a.sum += m.n
	}
}

func (a *adder) answerAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mute = false
	for _, r := range a.held {
		r.Send(a.sum)
	}
	a.held = nil
}

func (a *adder) total() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sum
}

func (a *adder) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.held)
}

// owners is the map of a small cluster: which node has which actor.
type owners struct {
	mu    sync.Mutex
	truth map[string]string            // address by ID
	known map[string]map[string]string // what each node remembers
	fresh int                          // looks that were to be fresh
}

func newOwners() *owners {
	return &owners{truth: map[string]string{}, known: map[string]map[string]string{}}
}

func (o *owners) move(id, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.truth[id] = addressOf(name)
}

func (o *owners) freshLooks() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fresh
}

// locator is what one node knows: others' whereabouts from memory, its own
// always as they are.
func (o *owners) locator(name string) Locator {
	self := addressOf(name)
	return func(_ context.Context, id string, fresh bool) (string, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if fresh {
			o.fresh++
		}
		truth, ok := o.truth[id]
		if !ok {
			return "", fmt.Errorf("nobody has %s", id)
		}
		if o.known[name] == nil {
			o.known[name] = map[string]string{}
		}
		if old := o.known[name][id]; old != "" && !fresh && old != self && truth != self {
			return old, nil
		}
		o.known[name][id] = truth
		return truth, nil
	}
}

func addressOf(name string) string { return name + ":7400" }

// peer is a node: a system of actors whose adder counts what came here.
type peer struct {
	*actor.ActorSystem
	transport *Transport
	adders    actor.Type[note]
	adder     *adder
	reg       *prometheus.Registry
	stop      func() // its transport serves no more
}

// join makes a node on a bus.
func join(t *testing.T, name string, o *owners, bus Bus) *peer {
	t.Helper()
	p := &peer{adder: &adder{}, reg: prometheus.NewRegistry()}
	p.transport = New(addressOf(name), o.locator(name), bus, slog.New(slog.DiscardHandler), p.reg)
	p.ActorSystem = actor.NewActorSystem(actor.Config{Address: name, Port: 7400}, slog.New(slog.DiscardHandler), actor.WithTransport(p.transport))
	var err error
	p.adders, err = actor.Register(p.Engine(), "adder", actor.PropsOf(func() actor.ReceiverOf[note] { return p.adder }).
		WithCodec(notes).WithMailbox(actor.Mailbox{Size: 2 * maxServed}).WithPassivation(actor.Passivation{Idle: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.transport.Serve(ctx, p.Engine()); err != nil {
			t.Error(err)
		}
	}()
	p.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(func() {
		p.stop()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Errorf("stop %s: %v", name, err)
		}
	})
	return p
}

// ref refers to an actor by its kind and name, wherever it is.
func (p *peer) ref(t *testing.T, name string) actor.Ref[note] {
	t.Helper()
	ref, err := p.adders.Ref(name)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func ask(ctx context.Context, ref actor.Ref[note]) (int, error) {
	return actor.Ask(ctx, ref, func(r actor.Reply[int]) note { return note{asks: true, reply: r} })
}

// value adds up a metric over all labels that contain the pair.
func (p *peer) value(t *testing.T, name, label, is string) (sum float64) {
	t.Helper()
	families, err := p.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == is {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}
