package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// inFlightPause is between tries of a write that waits for another: a round of
// the replicas takes milliseconds.
const inFlightPause = 5 * time.Millisecond

var (
	// ErrFenced says that the condition of a publish did not hold: the last
	// barrier is not the one that the caller named, so nothing was stored.
	ErrFenced = errors.New("fenced: another barrier is in force")
	// ErrAmbiguous says that no answer came in time: the message may be stored,
	// now or a little later, or not at all.
	ErrAmbiguous = errors.New("no answer in time: stored or not is unknown")
	// ErrUnavailable says that a read got no answer in time: the disk is slow, or
	// the stream has no leader, because one is being elected or a majority of
	// its replicas is gone.
	ErrUnavailable = errors.New("no answer in time: nothing was read")
	// ErrNoBarrier says that a log has never held a message: its first must be
	// a barrier.
	ErrNoBarrier = errors.New("the log is empty: no barrier yet")
	// ErrBarrierLost says that a log which has held messages holds no barrier.
	// Its fence is gone, so a claimant must refuse it.
	ErrBarrierLost = errors.New("the log has held messages but holds no barrier: its fence is lost")
	// ErrFull says that a log has no room for data until its owner purges; what
	// is left is the owner's, which must publish in order to purge. Of a bucket it
	// says that there is no room for an object until others are deleted.
	ErrFull = errors.New("full until its owner removes something")
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

// wrongLastSequence: the server has decided that a condition does not hold.
func wrongLastSequence(e *jetstream.APIError) bool {
	return e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// full: the stream has reached its MaxBytes. The server says so in words only.
func full(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && strings.Contains(api.Description, "maximum bytes exceeded")
}

// inFlight: a replicated stream has not yet decided another publish on which
// this one's condition depends. Nothing was stored by this one.
func inFlight(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// undecided reports whether err leaves open what became of a write. Of a
// replicated stream so does a failure of the one server that answers: the
// others may have stored what it could not.
func undecided(err error, replicas int) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return replicas > 1 && api.Code >= 500
	}
	return noAnswer(err)
}

// unanswered makes err ErrUnavailable if a read got no answer.
func unanswered(err error) error {
	var api *jetstream.APIError
	if noAnswer(err) || errors.As(err, &api) && api.Code == 503 {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// noAnswer: the request was not delivered, or the answer did not come. An object
// comes through a pipe, whose deadline is the context's under another name.
func noAnswer(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// decided repeats a write while another that it depends on is in flight. When
// ctx ends first the error is still the one of inFlight: this write was not
// stored, but a try of the caller's before may be the other.
func decided(ctx context.Context, write func() error) error {
	for {
		err := write()
		if !inFlight(err) || wait(ctx, inFlightPause) != nil {
			return err
		}
	}
}
