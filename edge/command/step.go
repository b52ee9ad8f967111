package command

import (
	"errors"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Event is what happened.
type Event uint8

// The events.
const (
	Came   Event = iota // a command, perhaps again
	Kept                // the write that Effects asked for has ended
	Ended               // a device has done a command, or not
	Settle              // the gate has results for good
	Retry               // time to write again what could not be written
	Stop                // nothing comes or begins any more
)

// Input is one event and what belongs to it.
type Input struct {
	Event Event
	// Came: the command, whether its profile calls it idempotent, and why it
	// cannot be done; empty if it can.
	Command    wire.Command
	Idempotent bool
	Problem    string
	// Ended: ID, State, Confirmed and Text say how.
	Result wire.Result
	// Kept: those that were written; Settle: those that are settled.
	IDs []id.Command
	Err error // Kept: why they may not have been
}

// Keep is an entry of the ledger to write.
type Keep struct {
	ID     id.Command
	Record Record
}

// Order is a command that is to begin.
type Order struct {
	wire.Command
	Until time.Duration // since boot: it may begin before
}

// Effects are what the caller does next, in this order.
type Effects struct {
	Keep    []Keep        // write all and fsync, then Step with Kept
	Forget  []id.Command  // remove, in the same write or the next
	Execute []Order       // begin; Step with Ended when they end
	Results []wire.Result // what has just become of commands, for people
	Offer   bool          // what is unsettled has changed
	Full    bool          // the command was not taken: too many are remembered
}

// add takes over what is to be done after what e says. An entry is kept or
// forgotten, whichever came last.
func (e *Effects) add(next *Effects) {
	for _, c := range next.Forget {
		e.Keep = slices.DeleteFunc(e.Keep, func(k Keep) bool { return k.ID == c })
	}
	for i := range next.Keep {
		e.Forget = slices.DeleteFunc(e.Forget, func(c id.Command) bool { return c == next.Keep[i].ID })
	}
	e.Keep = append(e.Keep, next.Keep...)
	e.Forget = append(e.Forget, next.Forget...)
	e.Execute = append(e.Execute, next.Execute...)
}

// Step takes one event at a time since boot. It is a function of the state and
// the event alone.
func (s *State) Step(now time.Duration, in Input) Effects {
	var e Effects
	switch in.Event {
	case Came:
		s.came(now, &in, &e)
	case Kept:
		for _, c := range in.IDs {
			s.kept(now, c, in.Err, &e)
		}
	case Ended:
		if n := s.entries[in.Result.ID]; n != nil && n.phase == Executing {
			s.end(now, n, in.Result.State, in.Result.Confirmed, in.Result.Text, &e)
			s.leave(now, n.command.Device, &e)
		}
	case Settle:
		for _, c := range in.IDs {
			s.settle(c, &e)
		}
	case Retry:
		for _, n := range s.sorted(func(n *entry) bool { return n.dirty && n.phase >= Ending }) {
			s.keep(n, &e)
		}
	case Stop:
		for device, q := range s.queues {
			for _, n := range q[1:] {
				delete(s.entries, n.command.ID)
			}
			s.queues[device] = q[:1]
		}
	}
	return e
}

func (s *State) came(now time.Duration, in *Input, e *Effects) {
	c := in.Command
	span := time.Duration(c.Remaining) * time.Millisecond
	if n := s.entries[c.ID]; n != nil {
		// The copy that was under way for the shortest time knows best.
		n.until = min(n.until, now+span)
		if n.phase == Settled {
			s.offer(n, e)
		}
		return
	}
	s.forget(now, e)
	if len(s.entries) >= MaxEntries {
		e.Full = true
		return
	}
	n := &entry{command: c, until: now + span, span: span, idempotent: in.Idempotent}
	s.entries[c.ID] = n
	if in.Problem != "" {
		s.end(now, n, wire.ResultRefused, wire.ConfirmNone, in.Problem, e)
		return
	}
	s.queue(now, n, e)
}

// queue lets a command wait for its turn at its device, which may be now.
func (s *State) queue(now time.Duration, n *entry, e *Effects) {
	device := n.command.Device
	s.queues[device] = append(s.queues[device], n)
	if len(s.queues[device]) == 1 {
		s.begin(now, device, e)
	}
}

// leave ends the turn of a device's first command.
func (s *State) leave(now time.Duration, device id.Device, e *Effects) {
	s.queues[device] = s.queues[device][1:]
	s.begin(now, device, e)
}

// begin begins the first of a device's commands that still may.
func (s *State) begin(now time.Duration, device id.Device, e *Effects) {
	for q := s.queues[device]; len(q) > 0; q = q[1:] {
		if n := q[0]; now < n.until {
			s.queues[device] = q
			n.phase = Beginning
			s.keep(n, e)
			return
		}
		s.expire(now, q[0], e)
	}
	delete(s.queues, device)
}

// tooLate is why a command expired.
const tooLate = "its time had passed before its turn came at the device"

func (s *State) expire(now time.Duration, n *entry, e *Effects) {
	s.end(now, n, wire.ResultExpired, wire.ConfirmNone, tooLate, e)
}

// end gives a command its result. Of one that an earlier process began it
// cannot be said that nothing was touched.
func (s *State) end(now time.Duration, n *entry, state wire.ResultState, confirmed wire.Confirm, text string, e *Effects) {
	if n.begun && untouched(state) {
		state, text = wire.ResultUnknown, "the gateway stopped while it executed; again it was "+state.String()+": "+text
	}
	n.result = wire.Result{ID: n.command.ID, State: state, Confirmed: confirmed, Text: text}
	n.ended, n.phase = now, Ending
	e.Results = append(e.Results, n.result)
	s.keep(n, e)
}

// keep asks for an entry to be written.
func (s *State) keep(n *entry, e *Effects) {
	n.dirty = true
	e.Keep = append(e.Keep, Keep{n.command.ID, n.record(s.boot)})
}

// kept takes the end of the write of an entry.
func (s *State) kept(now time.Duration, c id.Command, err error, e *Effects) {
	n := s.entries[c]
	if n == nil {
		return
	}
	n.dirty = err != nil
	switch n.phase {
	case Beginning:
		n.recorded = !errors.Is(err, buffer.ErrFull) // of which nothing was written
		switch {
		case err != nil:
			s.end(now, n, wire.ResultRefused, wire.ConfirmNone, "the gateway cannot keep that it executes: "+err.Error(), e)
		case now >= n.until: // the write took its time
			s.expire(now, n, e)
		default:
			n.phase = Executing
			e.Execute = append(e.Execute, Order{n.command, n.until})
			return
		}
		s.leave(now, n.command.Device, e)
	case Ending:
		// That nothing was touched needs no proof in the ledger, only that it
		// does not say otherwise: a store that is full is a reason to be told.
		if err == nil || untouched(n.result.State) && !n.recorded {
			s.offer(n, e)
		}
	case Waiting, Executing, Offered, Settled:
	}
}

func untouched(r wire.ResultState) bool {
	return r == wire.ResultRefused || r == wire.ResultExpired
}

func (s *State) offer(n *entry, e *Effects) {
	n.phase = Offered
	s.offered = append(s.offered, n)
	e.Offer = true
}
