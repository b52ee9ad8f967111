package actor

import (
	"math/rand/v2"

	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// Restarter is implemented by receivers that act when another takes their place
// after a failure; reason is the failure, which with AllForOne may be a
// sibling's. The children have ended. It is the last call of this receiver: its
// Stopped is not called any more. A receiver that is a Stopper and no Restarter
// has its Stopped called instead, so that what Started opens is closed once.
//
// A panic in the hook is counted, and the restart goes on.
type Restarter[M any] interface {
	Restarting(ctx *ContextOf[M], reason error)
}

// Restarted is the event of an actor that has a new receiver after a failure.
type Restarted struct {
	PID    PID
	Reason error
}

// Escalated is the event of an actor whose failure became its parent's own.
type Escalated struct {
	PID    PID
	Reason error
}

// WithSupervisor returns a copy whose actors follow s when a child of theirs
// fails: by a panic, by ContextOf.Fail, or by a failure of its own children that
// was escalated to it. Unless said otherwise, a child that fails stops. Spawn
// refuses a strategy that Check finds fault with. A group has no hierarchy: in
// it this has no effect.
//
// A child that failed takes messages in and handles none until the decision is
// carried out.
//   - Stop: it ends with the failure as its reason; what waits is a dead letter.
//   - Resume: it goes on with its state and its next message.
//   - Restart: its children are stopped, then Restarting is called, then, when
//     the backoff is over, its producer makes a new receiver, whose Started is
//     called. The reference, the ID, those that watch and the mailbox stay; what
//     was put aside goes back to the head of the mailbox; behaviours and
//     children begin anew. With AllForOne this happens to all children, each for
//     itself, in no order between them; one that has been told to stop is left
//     alone.
//   - Escalate: the parent fails with the same reason. The child waits. It is
//     resumed when its parent is, and stopped when its parent ends or restarts.
//
// The message that failed is not handled again. A parent decides between two
// messages, and also while it has failed itself. A child that was told to stop,
// by Stop, is not restarted: a failure ends it. While it waits for the decision
// or the backoff, Stop ends it at once, what waits are dead letters, and the
// failure is its reason.
func (p *PropsTyped[M]) WithSupervisor(s supervise.Strategy) *PropsTyped[M] {
	q := *p
	q.supervisor = &s
	return &q
}

// WithGuardian returns a copy whose actors, where they have no parent, follow s
// when they fail themselves, as a child does whose parent has this strategy.
// Nobody is above them: Escalate stops. Without it they stop.
func (p *PropsTyped[M]) WithGuardian(s supervise.Strategy) *PropsTyped[M] {
	q := *p
	q.guardian = &s
	return &q
}

// checkStrategies names the first field of a strategy that cannot be used.
func (p *PropsTyped[M]) checkStrategies() error {
	for _, s := range []*supervise.Strategy{p.supervisor, p.guardian} {
		if s == nil {
			continue
		}
		if err := s.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Fail makes the actor fail with reason once the message in hand is handled, as
// a panic would at once; nil is no failure. Of several the first counts. In
// Stopped and Restarting it does nothing. In a group it ends the turn.
func (c *ContextOf[M]) Fail(reason error) {
	if reason == nil || c.final {
		return
	}
	f := c.cell.kin()
	if f.failure == nil {
		f.failure = reason
		c.cell.attention.Or(urgent)
	}
}

// childFailed implements supervisor: the decision is made in the parent's turn.
func (a *cell[M]) childFailed(b *bond, number uint32, reason error) bool {
	return a.post(func() { a.decide(b, number, reason) })
}

// childEnded implements supervisor. A parent that waits for its children looks
// after each of them.
func (a *cell[M]) childEnded(b *bond) {
	a.post(func() { a.children().remove(b) })
}

// decide follows the strategy about one failure of a child.
func (a *cell[M]) decide(b *bond, number uint32, reason error) {
	f := a.kin()
	if f.phase > failed || !b.child.waits(number) {
		return // it was stopped with all children, or restarted with another
	}
	all := f.brood.strategy != nil && f.brood.strategy.Scope == supervise.AllForOne
	record := &b.record
	if all {
		record = &f.brood.record
	}
	d := judge(a.kind.system, f.brood.strategy, record, b.child, reason)
	if d.Directive == supervise.Restart && all {
		for each := range f.brood.all() {
			each.obeys(d, reason)
		}
		return
	}
	b.obeys(d, reason)
	if d.Directive == supervise.Escalate && f.phase == running && f.failure == nil {
		f.failure = reason
	}
}

func (b *bond) obeys(d supervise.Decision, reason error) {
	b.escalated = d.Directive == supervise.Escalate
	b.child.order(d, reason)
}

// judge asks a strategy about a failure. One that panics stops the child.
func judge(s *ActorSystem, strategy *supervise.Strategy, record *supervise.Record, c child, reason error) (d supervise.Decision) {
	if strategy == nil {
		return d
	}
	defer func() {
		if v := recover(); v != nil {
			c.panickedOutside("Decide of its supervisor's strategy", v)
			d = supervise.Decision{}
		}
	}()
	f := supervise.Failure{Type: c.typeName(), ID: c.pid().ID, Reason: reason}
	return record.Step(s.now(), strategy, f, rand.Float64)
}

// guardian is the supervisor of an actor that has no parent.
type guardian struct {
	system   *ActorSystem
	strategy *supervise.Strategy
}

func (g *guardian) pid() PID { return PID{} }

func (g *guardian) childFailed(b *bond, _ uint32, reason error) bool {
	d := judge(g.system, g.strategy, &b.record, b.child, reason)
	if d.Directive == supervise.Escalate {
		d = supervise.Decision{}
	}
	b.child.order(d, reason)
	return true
}

func (g *guardian) childEnded(*bond) {}

func (Restarted) event() {}
func (Escalated) event() {}
