package journal

import (
	"errors"
	"fmt"
)

var (
	// ErrFenced says that the condition of a publish did not hold: the last
	// barrier is not the one that the caller named, so nothing was stored.
	ErrFenced = errors.New("fenced: another barrier is in force")
	// ErrAmbiguous says that no answer came in time: the message may be stored,
	// now or a little later, or not at all.
	ErrAmbiguous = errors.New("no answer in time: stored or not is unknown")
	// ErrNoBarrier says that a log has never held a message: its first must be
	// a barrier.
	ErrNoBarrier = errors.New("the log is empty: no barrier yet")
	// ErrBarrierLost says that a log which has held messages holds no barrier.
	// Its fence is gone, so a claimant must refuse it.
	ErrBarrierLost = errors.New("the log has held messages but holds no barrier: its fence is lost")
	// ErrFull says that a log has no room for data until its owner purges; what
	// is left is the owner's, which must publish in order to purge.
	ErrFull = errors.New("the log is full until its owner purges")
	// ErrGap is matched by every *GapError.
	ErrGap = errors.New("the log is not dense here")
	// ErrBusy says that a queue is at its limit: stop reading and try again.
	ErrBusy = errors.New("queue full")
	// ErrClosed says that what was called is closed.
	ErrClosed = errors.New("closed")
	// ErrNotFound says that no such object or key exists.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that a key's revision is not the one expected: someone
	// else wrote it, nothing was stored.
	ErrConflict = errors.New("written by another: revision differs")
)

// GapError says which message a reader wanted and which it would have got.
// Records between them were purged or lost: take a newer snapshot.
type GapError struct {
	Want, Got uint64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("want message %d, the log continues at %d: %v", e.Want, e.Got, ErrGap)
}

// Is makes errors.Is(err, ErrGap) true.
func (e *GapError) Is(target error) bool { return target == ErrGap }

// ParseError says at which byte a message is not what DESIGN.md says.
type ParseError struct {
	Offset int
	What   string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("byte %d: %s", e.Offset, e.What)
}
