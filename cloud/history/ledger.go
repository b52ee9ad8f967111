package history

import (
	"fmt"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Reason says why a range of a run has no readings, or what else a person
// must know about a gateway. The numbers are stored and never reused; those
// below 16 are the wire's gap reasons.
type Reason uint8

// The reasons of the ledger.
const (
	Quota    Reason = Reason(wire.GapQuota)
	Rejected Reason = Reason(wire.GapRejected)
	Corrupt  Reason = Reason(wire.GapCorrupt)
	Crash    Reason = Reason(wire.GapCrash)

	// Missing frames were skipped by the gateway without a gap frame.
	Missing Reason = 16
	// UnknownRemainder is what was acked to a cloud that has lost it since, below
	// the first sequence that the gateway still had, or what a run held whose
	// gateway has lost its state: with an open end.
	UnknownRemainder Reason = 17
	// Late frames belong to a run that was already retired.
	Late Reason = 18
	// Undecodable frames passed the gate and failed at the owner; the bytes
	// are among the dead letters.
	Undecodable Reason = 19
	// Skipped frames made their site fail; the bytes are among the dead letters.
	Skipped Reason = 20
	// IdentityTwice: two boards send as one gateway. No range.
	IdentityTwice Reason = 21
	// UnknownRun: frames of a run that no hello named; the bytes are among the
	// dead letters.
	UnknownRun Reason = 22
)

func (r Reason) String() string {
	switch r {
	case Quota, Rejected, Corrupt, Crash:
		return wire.GapReason(r).String()
	case Missing:
		return "missing"
	case UnknownRemainder:
		return "unknown-remainder"
	case Late:
		return "late"
	case Undecodable:
		return "undecodable"
	case Skipped:
		return "skipped"
	case IdentityTwice:
		return "identity-twice"
	case UnknownRun:
		return "unknown-run"
	default:
		return fmt.Sprintf("unknown(%d)", uint8(r))
	}
}

// At is the identity of a projection: the journal record that made it, and its
// number among the projections of its kind of that record.
type At struct {
	_     struct{} `cbor:",toarray"`
	Seq   uint64
	Index uint32
	N     uint32
}

// Entry is one line of a site's gap ledger.
type Entry struct {
	_        struct{} `cbor:",toarray"`
	At       At
	Site     id.Site
	Gateway  string // its name within the site
	Run      id.Run
	Class    wire.Class
	Boot     id.Boot
	A, B     uint64 // sequences, inclusive. B is 0 where the end is open (Crash, UnknownRemainder of a wiped board)
	Reason   Reason
	Readings uint64 // in the range, where the gateway counted them
	TFirst   int64  // milliseconds since Boot: of the first reading in the range; where the end is open of the last one applied
	TLast    int64  // milliseconds since Boot: of the last; where the end is open TFirst
	Interval uint64 // of Crash: milliseconds that may be uncommitted
	Time     int64  // Unix microseconds of journal time at which it was found
}

// DeadLetter is a record that was committed and could not be applied.
type DeadLetter struct {
	_      struct{} `cbor:",toarray"`
	At     At
	Site   id.Site
	Origin string
	Kind   uint8 // the journal's record kind
	Reason string
	Body   []byte // as journaled, at most MaxDeadBody bytes of it
	Size   int    // of the whole body
	Time   int64  // Unix microseconds of journal time
}

// cut makes the letter what is kept of it. Of a part it is that already.
func (d *DeadLetter) cut() {
	d.Size = max(d.Size, len(d.Body))
	d.Body = d.Body[:min(len(d.Body), MaxDeadBody)]
}
