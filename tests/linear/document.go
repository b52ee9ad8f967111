package linear

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Any is the revision that a change expects which replaces whatever is there.
const Any = math.MaxUint64

// Outcome is what became of a change.
type Outcome uint8

// The outcomes of a change.
const (
	Done     Outcome = iota // it was made
	Conflict                // it found another revision, and changed nothing
	Unknown                 // no answer says
)

// Change is one attempt to write a document, or to delete it.
type Change struct {
	By           string // the node that was asked
	Call, Return time.Duration
	Expect       uint64 // the revision that it replaces; 0: there is none; Any
	Text         string // no other change writes the same; "": it deletes
	Outcome      Outcome
	Revision     uint64 // of one that is done, and does not delete, what it made; of a conflict what it found, 0: no document
}

// Look is a read of a document: from a node's own copy, which follows the
// bucket.
type Look struct {
	By           string
	Call, Return time.Duration
	Revision     uint64 // 0: there was none
	Text         string
}

// Document is the history of one document of the catalog.
type Document struct {
	Name    string
	Changes []Change
	Looks   []Look // of all nodes, by call; one asker a node
}

// Check returns nil if the changes are those of one register that is written by
// compare-and-set, through whichever nodes they went, and if each node's copy
// shows what was written, no revision before it was, and none before an older
// one.
//
// What a change without an answer did is known from whoever saw its text: a
// caller expects revisions only that it looked at.
func (d *Document) Check() error {
	made, err := d.copies()
	if err == nil {
		err = check(register, d.operations(made))
	}
	if err != nil {
		return fmt.Errorf("document %s, %d changes: %w", d.Name, len(d.Changes), err)
	}
	return nil
}

// copies checks what nodes' copies showed, and returns which text is of which
// revision.
func (d *Document) copies() (made map[string]uint64, err error) {
	made = map[string]uint64{}
	begun := map[string]time.Duration{}
	for _, c := range d.Changes {
		if c.Text == "" {
			continue
		}
		begun[c.Text] = c.Call
		if c.Outcome == Done {
			made[c.Text] = c.Revision
		}
	}
	newest := map[string]uint64{} // by node
	for _, l := range d.Looks {
		if l.Revision == 0 {
			continue
		}
		call, written := begun[l.Text]
		was, known := made[l.Text]
		switch {
		case !written, l.Return < call:
			return nil, fmt.Errorf("%s showed revision %d by %v, which nobody had written", l.By, l.Revision, l.Return)
		case known && was != l.Revision:
			return nil, fmt.Errorf("%s showed as revision %d what was written as %d", l.By, l.Revision, was)
		case l.Revision < newest[l.By]:
			return nil, fmt.Errorf("%s, asked at %v, showed revision %d, and before it %d", l.By, l.Call, l.Revision, newest[l.By])
		}
		made[l.Text], newest[l.By] = l.Revision, l.Revision
	}
	return made, nil
}

// operations makes a history of the changes. One without an answer may be made
// at any time from its call on, or never, which is after the end.
func (d *Document) operations(made map[string]uint64) (all []porcupine.Operation) {
	known, end := map[uint64]bool{}, int64(0)
	for _, revision := range made {
		known[revision] = true
	}
	for _, c := range d.Changes {
		op := porcupine.Operation{Call: int64(c.Call), Return: int64(c.Return)}
		end = max(end, op.Return)
		in := attempt{Change: c}
		if c.Outcome == Unknown {
			op.Return = never
			if revision, seen := made[c.Text]; seen {
				in.Outcome, in.Revision = Done, revision
			}
		}
		in.stray = c.Outcome == Conflict && c.Revision != 0 && !known[c.Revision]
		op.Input = in
		all = append(all, op)
	}
	return append(all, porcupine.Operation{Input: ends{}, Call: end + 1, Return: never - 1})
}

// ends comes after all answers.
type ends struct{}

// attempt is a change in a history.
type attempt struct {
	Change
	stray bool // it found a revision whose text nobody saw
}

// stands is a document between two changes.
type stands struct {
	revision uint64 // 0: there is none
	unseen   bool   // it was written, and nobody knows as what
	ended    bool
}

// register is a document.
var register = porcupine.Model{
	Init: func() any { return stands{} },
	Step: func(state, input, _ any) (bool, any) {
		at := state.(stands)
		c, is := input.(attempt)
		met := c.Expect == Any || !at.unseen && c.Expect == at.revision
		switch {
		case !is:
			return true, stands{ended: true}
		case at.ended:
			return c.Outcome == Unknown, at
		case c.Outcome == Conflict && at.unseen && c.stray:
			return true, stands{revision: c.Revision}
		case c.Outcome == Conflict:
			return !met && !at.unseen && c.Revision == at.revision, at
		case c.Text == "":
			return met, stands{}
		case c.Outcome == Unknown:
			return met, stands{unseen: true}
		}
		return met, stands{revision: c.Revision}
	},
}
