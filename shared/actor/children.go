package actor

import (
	"errors"
	"fmt"
	"iter"

	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// child is an actor of any message type, seen from who supervises it.
type child interface {
	pid() PID
	typeName() string
	stop()
	waits(failure uint32) bool
	order(d supervise.Decision, reason error)
	panickedOutside(where string, value any)
}

// supervisor decides about the failures of others: a parent in its own turn, a
// guardian at once.
type supervisor interface {
	pid() PID
	childFailed(b *bond, number uint32, reason error) bool // false when it has ended
	childEnded(b *bond)
}

// bond ties an actor to its supervisor, to whose turn it belongs.
type bond struct {
	above      supervisor
	child      child
	prev, next *bond            // among the children of one parent
	record     supervise.Record // of this child alone
	escalated  bool             // its parent failed with its failure
}

// brood is an actor's children, in the order of their spawning. It belongs to
// the actor's turn.
type brood struct {
	strategy    *supervise.Strategy // nil stops those that fail
	first, last *bond
	record      supervise.Record // of all children together
}

func (l *brood) add(b *bond) {
	b.prev = l.last
	if l.last == nil {
		l.first = b
	} else {
		l.last.next = b
	}
	l.last = b
}

func (l *brood) remove(b *bond) {
	if b.prev == nil {
		l.first = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		l.last = b.prev
	} else {
		b.next.prev = b.prev
	}
}

func (l *brood) all() iter.Seq[*bond] {
	return func(yield func(*bond) bool) {
		if l == nil {
			return
		}
		for b := l.first; b != nil && yield(b); b = b.next {
		}
	}
}

func (l *brood) empty() bool { return l == nil || l.first == nil }

func (l *brood) stop() {
	for b := range l.all() {
		b.child.stop()
	}
}

// SpawnChild makes a child of the actor whose context this is. Its ID is the
// parent's, a slash and name. The parent's supervisor strategy decides about
// its failures; it is stopped, and its Stopped has returned, before its parent
// ends or is restarted. In all else it is an actor like others, which anybody
// may tell, watch and stop.
//
// It is called in a turn, from Started or Receive. In Stopped and Restarting it
// returns ErrStopped, and in a group ErrOutsideGroup: a group has no hierarchy.
func SpawnChild[C, M any](c *ContextOf[M], props *PropsTyped[C], name string) (Ref[C], error) {
	a := c.cell
	var err error
	switch {
	case a.member():
		err = ErrOutsideGroup
	case c.final:
		err = ErrStopped
	case name == "":
		err = errors.New("the name is empty")
	}
	if err != nil {
		return Ref[C]{}, fmt.Errorf("actor: spawn a child %q of %q: %w", name, a.id, err)
	}
	b := &bond{above: a}
	ref, err := spawn(a.kind.system.engine, props, a.id+"/"+name, a.siteName(), b)
	if err == nil {
		a.children().add(b)
	}
	return ref, err
}

// children is what holds the actor's children.
func (a *cell[M]) children() *brood {
	f := a.kin()
	if f.brood == nil {
		f.brood = new(brood)
	}
	return f.brood
}

// Parent names the parent; it is the zero PID where there is none.
func (c *ContextOf[M]) Parent() PID {
	if f := c.cell.family(); f != nil && f.bond != nil {
		return f.bond.above.pid()
	}
	return PID{}
}

// Children names the children in the order in which they were spawned, those
// that are about to end included.
func (c *ContextOf[M]) Children() []PID {
	f := c.cell.family()
	if f == nil {
		return nil
	}
	var all []PID
	for b := range f.brood.all() {
		all = append(all, b.child.pid())
	}
	return all
}
