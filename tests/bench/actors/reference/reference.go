// Package reference raises the limits that runtimes are compared with, for the
// workloads of package load: a goroutine with a channel for each actor (chan),
// lock-free mailboxes (mpsc) and swapped chunks (swap), the latter also with
// message values in the mailbox (swap-typed) and with askers that run an idle
// actor themselves (swap-inline).
//
// Each does as little as it can around a message, so that what a full runtime
// does beyond shows as a ratio of the same run.
package reference

import (
	"sync"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// Runtimes are the references by name.
func Runtimes() map[string]func() load.Peer {
	return map[string]func() load.Peer{
		"chan":        func() load.Peer { return &channels{} },
		"mpsc":        func() load.Peer { return newLockFree() },
		"swap":        func() load.Peer { return newSwapped(false) },
		"swap-inline": func() load.Peer { return newSwapped(true) },
		"swap-typed":  func() load.Peer { return newTyped() },
	}
}

// envelope is what travels: any message, and the way back for an answer.
type envelope struct {
	message any
	reply   *reply
}

// msg is the message as a handler takes it, by a look at its type.
func (e *envelope) msg() *load.Msg {
	if m, ok := e.message.(*load.Msg); ok {
		return m
	}
	panic("BUG: a message of another type")
}

// reply is where an asker waits.
type reply struct{ answer chan any }

// replies keeps them for later questions.
type replies struct{ pool sync.Pool }

func (r *replies) get() *reply {
	if w, ok := r.pool.Get().(*reply); ok {
		return w
	}
	return &reply{make(chan any, 1)}
}

// wait takes the answer, after which the reply is free.
func (r *replies) wait(w *reply) *load.Msg {
	m := (<-w.answer).(*load.Msg)
	r.pool.Put(w)
	return m
}
