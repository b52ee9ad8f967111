package actor

import (
	"errors"
	"fmt"
)

// What a sender, an asker or the caller of a turn may branch on.
var (
	// ErrMailboxFull: the mailbox holds MailboxSize messages that are not yet
	// handled. Nothing was enqueued; the sender keeps the message.
	ErrMailboxFull = errors.New("actor: mailbox full")
	// ErrStopped: the actor has been told to stop, has stopped or never was.
	ErrStopped = errors.New("actor: stopped")
	// ErrOutsideGroup: a message would cross the border of a group: a Tell or
	// an Ask to a member, a Send by a member to someone else.
	ErrOutsideGroup = errors.New("actor: crosses the border of a group")
	// ErrTurnRunning: the group is in a turn, so no second one can begin.
	ErrTurnRunning = errors.New("actor: a turn of the group is running")
	// ErrTurnLimit: the turn needs more messages than its limit.
	ErrTurnLimit = errors.New("actor: turn limit exceeded")
	// ErrGroupFailed: an earlier turn ended by a panic or at its limit. The
	// members' state is unknown, so the group takes no more turns.
	ErrGroupFailed = errors.New("actor: an earlier turn of the group failed")
	// ErrIDInUse: an actor with that ID lives on this node.
	ErrIDInUse = errors.New("actor: id in use")
	// ErrSystemStopped: the actor system is stopping or has stopped.
	ErrSystemStopped = errors.New("actor: system stopped")
)

// errGoexit is the value of a PanicError when Receive ended its goroutine.
var errGoexit = errors.New("runtime.Goexit called in Receive")

// PanicError is the failure of an actor that panicked in Receive or in a hook.
type PanicError struct {
	PID   PID
	Value any    // what panic was called with
	Stack []byte // the goroutine's stack at the panic, for a log
}

// Error names the actor and the value, without the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("actor: %s panicked: %v", e.PID, e.Value)
}

// Unwrap returns the value when it is an error, so that errors.Is sees it.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
