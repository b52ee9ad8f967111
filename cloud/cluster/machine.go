package cluster

import (
	"errors"
	"fmt"

	"github.com/atrium-iot/atrium/cloud/journal"
)

var (
	// ErrLost says that another node owns the shard now: stop at once.
	ErrLost = errors.New("the shard belongs to another owner")
	// ErrHandedOver is the ErrLost of an owner whose offer was taken.
	ErrHandedOver = fmt.Errorf("%w: handed over", ErrLost)
	// ErrTaken says that another node won the claim.
	ErrTaken = errors.New("another node claimed the shard first")
)

// phase is where an owner stands in the protocol.
type phase uint8

const (
	idle     phase = iota
	looking        // the log's last barrier, for an epoch above it
	reading        // the document
	claiming       // compare-and-set to the next epoch
	fencing        // the barrier: read the last, publish on its condition
	owning         // recovering or active: the token is held
	marking        // compare-and-set of the state
	offering       // compare-and-set to the next owner
	checking       // a publish was refused: is the last barrier still ours?
	lost
)

func (p phase) String() string {
	return [...]string{"idle", "looking", "reading", "claiming", "fencing", "owning", "marking", "offering", "checking", "lost"}[p]
}

// event is what happened outside.
type event struct {
	kind    eventKind
	doc     Document        // document: what it holds, a zero rev says it is absent; offer: whom, and up to where
	rev     uint64          // document, written
	barrier journal.Barrier // barrier
	seq     uint64          // barrier, stored
}

type eventKind uint8

const (
	start       eventKind = iota // claim
	refence                      // publish the barrier again
	activate                     // recovery is done
	offer                        // another is to take the shard over
	document                     // the document was read
	written                      // the document was written
	conflict                     // the document is another's
	barrierRead                  // the last barrier was read
	noBarrier                    // the log is empty
	stored                       // the barrier was stored
	fenced                       // a conditional publish was refused
	unknown                      // no answer: done or not
)

// command is what to do next, with one event as its answer. done and stop are
// the ends and get none.
type command struct {
	kind     commandKind
	doc      Document        // writeDocument
	rev      uint64          // writeDocument: expected revision
	previous uint64          // publishBarrier: expected last barrier
	barrier  journal.Barrier // publishBarrier
	err      error           // stop
	again    bool            // a read: the one before was old, so pause first
}

type commandKind uint8

const (
	done commandKind = iota
	stop
	readDocument
	writeDocument
	readBarrier
	publishBarrier
)

// machine is the ownership protocol of one node for one shard: no goroutine,
// clock or I/O.
type machine struct {
	node        string
	incarnation uint64

	phase    phase
	doc      Document // as it should be; of an owner, its own
	offered  Document // to another; its epoch is 0 without an offer
	rev      uint64   // of the document that we know
	token    uint64   // the sequence of our last barrier, 0 before the first
	previous uint64   // what the barrier in flight expects
	floor    uint64   // the epoch to be above
	stale    int      // reads in a row that were older than what we know
}

// maxStale bounds reads in a row that show less than we have stored. A leader
// of replicas that was cut off answers so until it notices, after some 10 s;
// with the pauses in between this is longer. A log that has really lost our
// barrier answers so for ever, and we have lost the shard with it.
const maxStale = 12

// mine is the barrier of this claim.
func (m *machine) mine() journal.Barrier {
	return journal.Barrier{Incarnation: m.doc.Incarnation, Epoch: m.doc.Epoch, Owner: m.node}
}

// step takes one event and says what to do.
func (m *machine) step(e event) command {
	switch {
	case m.phase == idle && e.kind == start:
		m.phase = looking
		return command{kind: readBarrier}
	case m.phase == looking && (e.kind == barrierRead || e.kind == noBarrier):
		return m.looked(e)
	case m.phase == reading && e.kind == document:
		return m.claim(e)
	case m.phase == claiming || m.phase == marking || m.phase == offering:
		return m.wrote(e)
	case m.phase == fencing:
		return m.fence(e)
	case m.phase == checking:
		return m.check(e)
	case m.phase == owning:
		return m.own(e)
	}
	return m.lose(fmt.Errorf("BUG: cluster: event %d in phase %v", e.kind, m.phase))
}

// looked: an epoch must be above every barrier's, even if the document was
// lost or is older, so that our own barrier is told from one before it.
func (m *machine) looked(e event) command {
	if e.kind == barrierRead {
		if e.barrier.Incarnation > m.incarnation {
			return m.lose(fmt.Errorf("%w: the log is fenced by incarnation %d, this node is of %d", ErrLost, e.barrier.Incarnation, m.incarnation))
		}
		m.floor = e.barrier.Epoch
	}
	m.phase = reading
	return command{kind: readDocument}
}

// claim writes the next epoch into the document, or takes an offer, which has
// done so (DESIGN.md).
func (m *machine) claim(e event) command {
	if e.rev != 0 && e.doc.Incarnation > m.incarnation {
		return m.lose(fmt.Errorf("%w: the shard is claimed in incarnation %d, this node is of %d", ErrLost, e.doc.Incarnation, m.incarnation))
	}
	m.rev = e.rev
	if o := e.doc; e.rev != 0 && o.State == Offered && o.Owner == m.node && o.Incarnation == m.incarnation && o.Epoch > m.floor {
		m.doc = Document{Version: documentVersion, Incarnation: o.Incarnation, Epoch: o.Epoch, Owner: m.node, State: Recovering}
		m.phase = fencing
		return command{kind: readBarrier}
	}
	m.doc = Document{
		Version: documentVersion, Incarnation: m.incarnation, Epoch: max(e.doc.Epoch, m.floor) + 1,
		Owner: m.node, State: Recovering,
	}
	m.phase = claiming
	return command{kind: writeDocument, doc: m.doc, rev: m.rev}
}

// wrote: a compare-and-set of the document was answered, or not.
func (m *machine) wrote(e event) command {
	want := m.doc
	if m.phase == offering {
		want = m.offered
	}
	switch {
	case e.kind == written, e.kind == document && e.rev != 0 && e.doc == want:
		m.rev, m.stale = e.rev, 0
		if m.phase == claiming {
			m.phase = fencing
			return command{kind: readBarrier}
		}
		m.phase = owning
		return command{kind: done}
	case e.kind == unknown, e.kind == conflict:
		// The conflict may be with our own write, whose answer was lost.
		return command{kind: readDocument}
	case e.kind == document && e.rev < m.rev && m.old():
		return command{kind: readDocument, again: true}
	case e.kind == document && e.rev == m.rev:
		m.stale = 0
		return command{kind: writeDocument, doc: want, rev: m.rev}
	case e.kind == document && m.phase == claiming:
		return m.lose(fmt.Errorf("%w: %s, epoch %d", ErrTaken, e.doc.Owner, e.doc.Epoch))
	case e.kind == document:
		return m.lose(fmt.Errorf("%w: %s claimed it with epoch %d", ErrLost, e.doc.Owner, e.doc.Epoch))
	}
	return m.lose(fmt.Errorf("BUG: cluster: event %d in phase %v", e.kind, m.phase))
}

// fence: step 3. A refusal or silence is resolved by reading the last barrier:
// ours and newer than the token, it was stored; an older owner's, it has
// published its own again, so ours goes behind that.
func (m *machine) fence(e event) command {
	switch e.kind {
	case stored:
		return m.hold(e.seq)
	case noBarrier:
		return m.publish(0)
	case barrierRead:
		if c := e.barrier.Compare(m.mine()); c > 0 || c == 0 && e.barrier.Owner != m.node {
			return m.lose(superseded(e.barrier, m.offered))
		} else if c == 0 && e.seq > m.token {
			return m.hold(e.seq)
		}
		return m.publish(e.seq)
	}
	return m.resolve(e)
}

// resolve reads the last barrier where a publish was refused or not answered.
func (m *machine) resolve(e event) command {
	if e.kind == fenced || e.kind == unknown {
		return command{kind: readBarrier}
	}
	return m.lose(fmt.Errorf("BUG: cluster: event %d in phase %v", e.kind, m.phase))
}

// midway reports whether a conversation was cut short after the claim; the
// event unknown then goes on with it.
func (m *machine) midway() bool {
	return m.token != 0 && (m.phase == fencing || m.phase == marking || m.phase == offering || m.phase == checking)
}

func (m *machine) publish(previous uint64) command {
	m.previous = previous
	b := m.mine()
	b.Previous = previous
	return command{kind: publishBarrier, previous: previous, barrier: b}
}

func (m *machine) hold(token uint64) command {
	m.token, m.stale = token, 0
	m.phase = owning
	return command{kind: done}
}

// own: what the owner asks for while it holds the token.
func (m *machine) own(e event) command {
	switch e.kind {
	case refence:
		m.phase = fencing
		return m.publish(m.token)
	case activate:
		m.doc.State, m.doc.Barrier = Active, m.token
		m.phase = marking
		return command{kind: writeDocument, doc: m.doc, rev: m.rev}
	case offer:
		m.offered = Document{
			Version: documentVersion, Incarnation: m.incarnation, Epoch: max(m.doc.Epoch, m.offered.Epoch) + 1,
			Owner: e.doc.Owner, State: Offered, Barrier: e.doc.Barrier,
		}
		m.phase = offering
		return command{kind: writeDocument, doc: m.offered, rev: m.rev}
	case fenced:
		m.phase = checking
		return command{kind: readBarrier}
	}
	return m.lose(fmt.Errorf("BUG: cluster: event %d in phase %v", e.kind, m.phase))
}

// check: one of our records was refused. What a stream refuses may have raced
// with a barrier of ours that was stored without an answer; anything but our
// own barrier ends the ownership.
func (m *machine) check(e event) command {
	switch {
	case e.kind != barrierRead && e.kind != noBarrier:
		return m.resolve(e)
	case e.seq < m.token && m.old():
		return command{kind: readBarrier, again: true}
	case e.seq < m.token:
		return m.lose(fmt.Errorf("%w: the log shows barrier %d, ours is %d", ErrLost, e.seq, m.token))
	case e.barrier.Compare(m.mine()) != 0 || e.barrier.Owner != m.node:
		return m.lose(superseded(e.barrier, m.offered))
	}
	return m.hold(e.seq)
}

// old counts a read that shows less than we know was stored, and reports
// whether to read again.
func (m *machine) old() bool {
	m.stale++
	return m.stale <= maxStale
}

func superseded(b journal.Barrier, offered Document) error {
	if b.Epoch == offered.Epoch && b.Owner == offered.Owner && b.Incarnation == offered.Incarnation {
		return fmt.Errorf("%w to %s, epoch %d", ErrHandedOver, b.Owner, b.Epoch)
	}
	return fmt.Errorf("%w: %s, incarnation %d, epoch %d", ErrLost, b.Owner, b.Incarnation, b.Epoch)
}

func (m *machine) lose(err error) command {
	m.phase = lost
	return command{kind: stop, err: err}
}
