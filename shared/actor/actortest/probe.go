package actortest

import (
	"reflect"
	"sync"

	"github.com/atrium-iot/atrium/shared/actor"
)

// probeRoom is the mailbox of a probe: as large as a Run may fill it, so that a
// probe never refuses.
const probeRoom = maxSteps

// Probe is an actor that notes what it is sent, for the test to look at. What
// was expected is gone; the rest waits in its order.
type Probe[M any] struct {
	system *System
	ref    actor.Ref[M]

	mu     sync.Mutex
	got    []M // not expected yet
	answer func(M)
}

// NewProbe spawns a probe.
func NewProbe[M any](s *System, id string) *Probe[M] {
	s.t.Helper()
	return newProbe[M](s, id, nil)
}

// Listen spawns a probe for the system's events of type E: with
// actor.DeadLetter, for what was accepted and is never handled.
func Listen[E actor.Event](s *System) *Probe[E] {
	s.t.Helper()
	p := newProbe[E](s, s.name("listen"), nil)
	if _, err := actor.Subscribe(s.Events(), p.ref, func(e E) (E, bool) { return e, true }); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func newProbe[M any](s *System, id string, started func(*actor.ContextOf[M]) error) *Probe[M] {
	s.t.Helper()
	p := &Probe[M]{system: s}
	props := actor.PropsOf(func() actor.ReceiverOf[M] { return &receiver[M]{p, started} })
	p.ref = Spawn(s, props.WithMailbox(actor.Mailbox{Size: probeRoom}), id)
	return p
}

// receiver is the probe as an actor.
type receiver[M any] struct {
	probe   *Probe[M]
	started func(*actor.ContextOf[M]) error
}

func (r *receiver[M]) Started(ctx *actor.ContextOf[M]) {
	if r.started == nil {
		return
	}
	if err := r.started(ctx); err != nil {
		r.probe.system.t.Error(err)
	}
}

func (r *receiver[M]) Receive(ctx *actor.ContextOf[M]) {
	p, msg := r.probe, ctx.Message()
	p.mu.Lock()
	p.got = append(p.got, msg)
	answer := p.answer
	p.mu.Unlock()
	if answer != nil {
		answer(msg)
	}
}

// Ref refers to the probe as an actor.
func (p *Probe[M]) Ref() actor.Ref[M] { return p.ref }

// Answer lets the probe call f with each further message, in its turn: for what
// it shall answer or send on. Messages are noted all the same.
func (p *Probe[M]) Answer(f func(msg M)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// Next returns the next message, once all actors are quiet, and fails the test
// when there is none.
func (p *Probe[M]) Next() M {
	p.system.t.Helper()
	p.system.Run()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		p.system.t.Fatalf("%s: no message came", p.ref)
	}
	msg := p.got[0]
	p.got = p.got[1:]
	return msg
}

// Expect fails the test unless the next messages equal these, as
// reflect.DeepEqual has it.
func (p *Probe[M]) Expect(want ...M) {
	p.system.t.Helper()
	for _, w := range want {
		if got := p.Next(); !reflect.DeepEqual(got, w) {
			p.system.t.Fatalf("%s: got %+v, want %+v", p.ref, got, w)
		}
	}
}

// ExpectMatch fails the test unless match holds for the next message, and
// returns it; what says what was expected.
func (p *Probe[M]) ExpectMatch(what string, match func(M) bool) M {
	p.system.t.Helper()
	got := p.Next()
	if !match(got) {
		p.system.t.Fatalf("%s: got %+v, want %s", p.ref, got, what)
	}
	return got
}

// ExpectNone fails the test when a message is left once all actors are quiet.
func (p *Probe[M]) ExpectNone() {
	p.system.t.Helper()
	p.system.Run()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) > 0 {
		p.system.t.Fatalf("%s: got %d messages more, the first %+v", p.ref, len(p.got), p.got[0])
	}
}

// Received returns and forgets the messages that are left, once all actors are
// quiet.
func (p *Probe[M]) Received() []M {
	p.system.t.Helper()
	p.system.Run()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}
