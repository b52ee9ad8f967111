package command

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// MaxEntries bounds the commands that are remembered, those that wait
	// included. An entry takes some 300 bytes; a gateway's relays are switched
	// a few times a minute, and 4,096 are one a second for an hour.
	MaxEntries = 4096
	// remember is how long a settled command is remembered after the time by
	// which it had to begin: longer than a copy may be under way. A connection
	// whose path is dead ends within minutes.
	remember = time.Hour
)

// State is what is known about the commands of a gateway between two events.
type State struct {
	boot    id.Boot
	entries map[id.Command]*entry
	queues  map[id.Device][]*entry // the first has its turn, the others wait
	offered []*entry               // in the order in which they ended
}

// entry is one command.
type entry struct {
	command    wire.Command // once it has ended, the id and the device alone matter
	result     wire.Result
	phase      Phase
	until      time.Duration // since boot: it may begin before
	span       time.Duration // how long that was when it came
	ended      time.Duration // since boot
	idempotent bool
	begun      bool // by an earlier process
	recorded   bool // the ledger may say that it executes
	dirty      bool // the ledger may say something else
}

// record is what the ledger keeps of an entry.
func (n *entry) record(boot id.Boot) Record {
	r := Record{Phase: n.phase, Boot: boot, Until: n.until, Span: n.span, Ended: n.ended, Idempotent: n.idempotent}
	switch n.phase {
	case Beginning:
		r.Phase = Executing
		r.Message = n.command.Append(nil)
		return r
	case Ending:
		r.Phase = Offered
	case Waiting, Executing, Offered, Settled:
	}
	r.Message = n.result.Append(nil)
	return r
}

// Found is an entry that an earlier process left in the ledger.
type Found struct {
	ID      id.Command
	Record  Record
	Damaged bool   // there is no record
	Problem string // why a command that executed cannot be done again
}

// Recover returns the state after a start in a boot, at a time since that.
//
// A command that executed when the process ended is done again if its profile
// calls it idempotent and it has time left; of any other nobody knows what it
// did. How long a gateway was off between two boots is not known either: what
// executed in an earlier one is not done again, and what is remembered of it
// is remembered as if it had just come.
func Recover(now time.Duration, boot id.Boot, found []Found) (*State, Effects) {
	s := &State{boot: boot, entries: map[id.Command]*entry{}, queues: map[id.Device][]*entry{}}
	var e Effects
	for i := range found {
		s.recover(now, &found[i], &e)
	}
	slices.SortStableFunc(s.offered, func(a, b *entry) int { return cmp.Compare(a.ended, b.ended) })
	return s, e
}

func (s *State) recover(now time.Duration, f *Found, e *Effects) {
	r := &f.Record
	n := &entry{command: wire.Command{ID: f.ID}, phase: r.Phase, until: r.Until, span: r.Span, ended: r.Ended, idempotent: r.Idempotent}
	s.entries[f.ID] = n
	if f.Damaged {
		n.phase, n.span = Settled, wire.MaxRemaining*time.Millisecond
		n.until, n.ended = now+n.span, now
		n.result = wire.Result{ID: f.ID, State: wire.ResultUnknown, Text: "what the gateway kept of it is damaged"}
		return
	}
	sameBoot := r.Boot == s.boot
	if !sameBoot {
		n.until, n.ended = now+n.span, 0
	}
	if n.phase != Executing {
		n.result, _ = wire.ParseResult(r.Message) // ParseRecord has checked it
		if n.phase == Offered {
			s.offer(n, e)
		}
		return
	}
	n.command, _ = wire.ParseCommand(r.Message)
	text := "the gateway stopped while it executed"
	switch {
	case !n.idempotent:
	case !sameBoot:
		text += ", and was started anew"
	case now >= n.until:
		text += ", and its time has passed"
	case f.Problem != "":
		text += "; again it cannot be: " + f.Problem
	default:
		n.phase, n.begun = Waiting, true
		s.queue(now, n, e)
		return
	}
	s.end(now, n, wire.ResultUnknown, wire.ConfirmNone, text, e)
}

// Unsettled returns the results that the gate has not settled, in the order in
// which they came about, at most n.
func (s *State) Unsettled(now time.Duration, n int) []wire.Result {
	out := make([]wire.Result, 0, min(n, len(s.offered)))
	for _, o := range s.offered[:cap(out)] {
		r := o.result
		r.Ago = uint64(max(0, now-o.ended).Milliseconds())
		out = append(out, r)
	}
	return out
}

// Count returns how many results are unsettled, and how many commands wait or
// execute.
func (s *State) Count() (unsettled, pending int) {
	for _, q := range s.queues {
		pending += len(q)
	}
	return len(s.offered), pending
}

// Dirty says whether something could not be written: Retry is due.
func (s *State) Dirty() bool {
	for _, n := range s.entries {
		if n.dirty {
			return true
		}
	}
	return false
}

func (s *State) settle(c id.Command, e *Effects) {
	n := s.entries[c]
	if n == nil || n.phase != Offered {
		return
	}
	n.phase = Settled
	s.offered = slices.DeleteFunc(s.offered, func(o *entry) bool { return o == n })
	e.Offer = true
	s.keep(n, e)
}

// forget drops the tombstones that have served, and if the state is full the
// oldest of those whose command can no longer begin.
func (s *State) forget(now time.Duration, e *Effects) {
	drop := func(n *entry) {
		delete(s.entries, n.command.ID)
		e.Forget = append(e.Forget, n.command.ID)
	}
	for _, n := range s.sorted(func(n *entry) bool { return n.phase == Settled && now >= n.until+remember }) {
		drop(n)
	}
	if len(s.entries) < MaxEntries {
		return
	}
	late := s.sorted(func(n *entry) bool { return n.phase == Settled && now >= n.until })
	if len(late) > 0 {
		drop(slices.MinFunc(late, func(a, b *entry) int { return cmp.Compare(a.until, b.until) }))
	}
}

// sorted returns the entries that which chooses, by id.
func (s *State) sorted(which func(*entry) bool) []*entry {
	var all []*entry
	for _, n := range s.entries {
		if which(n) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int { return bytes.Compare(a.command.ID[:], b.command.ID[:]) })
	return all
}
