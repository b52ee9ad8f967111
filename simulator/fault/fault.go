// Package fault breaks simulated chips on purpose. A Set holds the faults of
// one board, planned by a scenario file or made while it runs, and wraps each
// chip; no chip knows of it.
//
//	Bus.Tx -> target: what is in force? -> chip.Tx -> target: change what was read
//
// Which faults are in force at a time is a pure question to each Fault. All
// that is random comes from a seed, and every transaction that a fault changed
// is counted. The package knows no chip: it cannot say what a changed byte
// means, and a flipped bit in the answer of a chip without checksums is a wrong
// value. It does not delay, and it does not break a bus for all its chips.
package fault

import (
	"fmt"
	"time"
)

// Kind is what goes wrong.
type Kind uint8

// The kinds, in the order in which they act on a transaction.
const (
	// Unplugged: nobody answers at the address. When the fault ends the chip is
	// powered on anew, with its power-on registers.
	Unplugged Kind = iota
	// NACK: the transaction is not acknowledged and does not reach the chip.
	NACK
	// Stuck: a read gets what the same request got last. Writes reach the chip.
	Stuck
	// CRC: one bit of what is read is flipped.
	CRC

	kinds
)

var names = [kinds]string{"unplugged", "nack", "stuck", "crc"}

// String returns the kind's name in files, requests and metrics.
func (k Kind) String() string { return names[k] }

// parseKind reads a kind's name.
func parseKind(s string) (Kind, bool) {
	for k, name := range names {
		if s == name {
			return Kind(k), true
		}
	}
	return 0, false
}

func unknownKind(s string) *refusal {
	return &refusal{key: "kind", text: fmt.Sprintf("want unplugged, nack, stuck or crc, got %q", s)}
}

// random says whether the kind may have a probability below 1: a chip is not
// unplugged or stuck for one transaction.
func (k Kind) random() bool { return k == NACK || k == CRC }

// exact says whether what is read through the kind is what the chip said.
func (k Kind) exact() bool { return k == Unplugged || k == NACK }

// Place is where a chip sits.
type Place struct {
	Bus     string
	Address uint16 // 7 bits
}

// Target is a chip that may be broken.
type Target struct {
	Place
	// Exact refuses the kinds that change what is read: the numbers of a
	// counter are what a verification holds to be true.
	Exact bool
}

// Fault is one fault of one chip.
type Fault struct {
	Place
	Kind  Kind
	Begin time.Duration // since the set was made, inclusive
	End   time.Duration // exclusive; 0 has no end
	// Probability is the share of transactions that are hit, above 0 to 1.
	Probability float64
}

// InForce says whether the fault acts at a time since the set was made.
func (f Fault) InForce(at time.Duration) bool { return at >= f.Begin && !f.Over(at) }

// Over says whether the fault will never act again.
func (f Fault) Over(at time.Duration) bool { return f.End != 0 && at >= f.End }

// refusal is why a fault cannot be, with the key that is to blame.
type refusal struct {
	key, text string
	absent    bool // there is no such chip
}

// Error is written as a configuration's errors are.
func (r *refusal) Error() string { return fmt.Sprintf("key %q: %s", r.key, r.text) }

// check says what is wrong with a fault of a chip.
func (f Fault) check(t Target) *refusal {
	switch {
	case !(f.Probability > 0 && f.Probability <= 1): // NaN too
		return &refusal{key: "probability", text: fmt.Sprintf("want a number above 0 up to 1, got %v", f.Probability)}
	case f.Probability != 1 && !f.Kind.random():
		return &refusal{key: "probability", text: fmt.Sprintf("only nack and crc have one, not %s", f.Kind)}
	case t.Exact && !f.Kind.exact():
		return &refusal{key: "kind", text: fmt.Sprintf("a counter takes unplugged and nack, not %s: its numbers are the truth", f.Kind)}
	}
	return nil
}
