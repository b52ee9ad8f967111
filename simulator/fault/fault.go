// Package fault breaks simulated chips, and parts at the lines of a GPIO chip,
// on purpose. A Set holds the faults of one board, planned by a scenario file or
// made while it runs, and wraps each of them; none knows of it.
//
//	Bus.Tx    -> brokenChip: what is in force? -> chip.Tx -> change what was read
//	line, Out -> brokenPart: what is in force? -> Part.Drive, or not
//	line, Read -> brokenPart -> Part.Level, or what it was
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
	// Unplugged: nobody answers at the address, nobody holds the line. When the
	// fault ends the chip is powered on anew, with its power-on registers.
	Unplugged Kind = iota
	// NACK: the transaction is not acknowledged and does not reach the chip.
	NACK
	// Stuck: a read gets what the same request got last. Writes reach the chip;
	// a line that is driven otherwise switches nothing until the fault ends.
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

// ofLine says whether a part at a line may have the kind: there are no
// transactions that could fail.
func (k Kind) ofLine() bool { return k == Unplugged || k == Stuck }

// Place is where a chip sits on an I2C bus, or a part on a GPIO chip.
type Place struct {
	Bus     string // or GPIO chip
	Address uint16 // 7 bits; of a part the offset of its line
	Line    bool   // it is a part
}

// placeOf makes a place of what was written: an address or a line.
func placeOf(bus string, address, line *uint16) (Place, *refusal) {
	switch {
	case address != nil && line != nil:
		return Place{}, &refusal{key: "line", text: "a fault has an address or a line, not both"}
	case address != nil:
		return Place{Bus: bus, Address: *address}, nil
	case line != nil:
		return Place{Bus: bus, Address: *line, Line: true}, nil
	}
	return Place{}, &refusal{key: "address", text: "missing; on a GPIO chip it is a line"}
}

// String returns what metrics and logs call the place on its bus: "0x48" or
// "line 27".
func (p Place) String() string {
	if p.Line {
		return fmt.Sprintf("line %d", p.Address)
	}
	return fmt.Sprintf("%#x", p.Address)
}

// Target is a chip or a part that may be broken.
type Target struct {
	Place
	// Exact refuses the kinds that change what is read: the numbers of a
	// counter are what a verification holds to be true.
	Exact bool
}

// Fault is one fault of one chip or part.
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
	absent    bool // there is no such chip or part
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
	case t.Line && !f.Kind.ofLine():
		return &refusal{key: "kind", text: fmt.Sprintf("a line takes unplugged and stuck, not %s: it has no transactions", f.Kind)}
	case t.Exact && !f.Kind.exact():
		return &refusal{key: "kind", text: fmt.Sprintf("a counter takes unplugged and nack, not %s: its numbers are the truth", f.Kind)}
	}
	return nil
}
