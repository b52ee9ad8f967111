package wire

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
)

// Command asks the gateway to have a device do something. It may come more
// than once: ID says that it is the same.
type Command struct {
	ID        id.Command
	Device    id.Device
	Name      string // of the profile's command; the grammar of points
	Remaining uint64 // how long it may still begin, in milliseconds, at most MaxRemaining
	Args      []Arg
}

// Arg is one argument of a command. Its name follows the grammar of points and
// occurs once.
type Arg struct {
	Name  string
	Value Value
}

// Value is an argument's value.
type Value struct {
	Kind   ColumnKind // KindBoolean or KindNumber
	Number float64    // finite; of a boolean 0 or 1
}

const (
	commandItems = 7
	argItems     = 2
)

// Append writes the message, its args by name.
func (m *Command) Append(dst []byte) []byte {
	dst = appendStart(dst, commandItems, KindCommand)
	dst = appendBytes(dst, m.ID[:])
	dst = appendText(dst, m.Device.String())
	dst = appendText(dst, m.Name)
	dst = appendUint(dst, m.Remaining)
	return AppendArgs(dst, m.Args)
}

// ParseCommand reads what Append wrote. Whether the device has such a command
// and what its args mean is its profile's to say.
func ParseCommand(b []byte) (Command, error) {
	var m Command
	c := open(b, commandItems, KindCommand)
	c.fixed("id", m.ID[:])
	m.Device = c.device()
	m.Name = string(c.point("name"))
	m.Remaining = c.uint("remaining")
	if m.Remaining > MaxRemaining {
		c.fail(RejectLimit, "remaining", "is %d ms, at most %d are allowed", m.Remaining, uint64(MaxRemaining))
	}
	m.Args = c.args()
	if err := c.end(); err != nil {
		return Command{}, err
	}
	return m, nil
}

// AppendArgs writes the args of a command, by name, without changing args:
// what a command message and the journal's intent record hold of them.
func AppendArgs(dst []byte, args []Arg) []byte {
	byName := func(a, b Arg) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(args, byName) {
		args = slices.Clone(args)
		slices.SortFunc(args, byName)
	}
	dst = appendArray(dst, len(args))
	for _, a := range args {
		dst = appendArray(dst, argItems)
		dst = appendText(dst, a.Name)
		if a.Value.Kind == KindBoolean {
			dst = appendBool(dst, a.Value.Number != 0)
		} else {
			dst = appendFloat(dst, a.Value.Number)
		}
	}
	return dst
}

// ParseArgs reads what AppendArgs wrote.
func ParseArgs(b []byte) ([]Arg, error) {
	c := cursor{b: b}
	args := c.args()
	if err := c.end(); err != nil {
		return nil, err
	}
	return args, nil
}

func (c *cursor) args() []Arg {
	n := c.array("args", 0, MaxArgs)
	if n == 0 {
		return nil
	}
	args := make([]Arg, 0, n)
	for i := range n {
		c.tuple("arg", argItems)
		a := Arg{Name: string(c.point("arg name")), Value: c.value("arg value")}
		if i > 0 && c.err == nil && a.Name <= args[i-1].Name {
			c.fail(RejectMalformed, "arg name", "%q follows %q, want ascending names", a.Name, args[i-1].Name)
		}
		args = append(args, a)
	}
	return args
}

// value reads a boolean or a finite number.
func (c *cursor) value(at string) Value {
	if c.err != nil {
		return Value{}
	}
	switch rest := c.b[c.off:]; {
	case len(rest) == 0:
		c.fail(RejectMalformed, at, "truncated at byte %d", len(c.b))
	case rest[0] == cborFalse, rest[0] == cborTrue:
		c.off++
		return Value{KindBoolean, float64(rest[0] - cborFalse)}
	case rest[0] != cborFloat64:
		c.fail(RejectMalformed, at, "begins with byte %#02x, want false, true or a float64", rest[0])
	case len(rest) < floatSize:
		c.fail(RejectMalformed, at, "truncated at byte %d", len(c.b))
	default:
		x := floatAt(rest)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			c.fail(RejectMalformed, at, "is %v, want a finite number", x)
			return Value{}
		}
		c.off += floatSize
		return Value{KindNumber, x}
	}
	return Value{}
}

// point reads a name of the grammar of points.
func (c *cursor) point(at string) id.Point {
	s := c.text(at, id.MaxName)
	if c.err != nil {
		return ""
	}
	p, err := id.ParsePoint(s)
	if err != nil {
		c.err = &Error{RejectMalformed, at, fmt.Errorf("is not a name: %w", err)}
	}
	return p
}
