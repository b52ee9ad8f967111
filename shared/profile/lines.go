package profile

import (
	"maps"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/shared/config"
)

// Line is one GPIO line of a device.
type Line struct {
	Name   string
	Output bool
	High   bool // of an output: the safe level
	Pull   Pull // of an input
}

// Pull is the resistor behind an input.
type Pull uint8

// The pulls.
const (
	PullOff Pull = iota
	PullDown
	PullUp
)

// levels compiles the lines of a device on GPIO and the raw numbers that are
// their levels.
func (c *compiler) levels() error {
	if n := len(c.in.Lines); n == 0 || n > maxLines {
		return c.doc.Errorf("$.lines", "want 1 to %d lines such as out: {direction: out}, got %d", maxLines, n)
	}
	for _, name := range slices.Sorted(maps.Keys(c.in.Lines)) {
		in := c.in.Lines[name]
		l, err := c.line(config.Join("$.lines", name), name, &in)
		if err != nil {
			return err
		}
		c.out.Lines = append(c.out.Lines, l)
	}
	c.out.Read.Scratch = len(c.out.Lines)
	var err error
	c.out.raw, err = c.cuts("$.raw", c.in.Raw, nil)
	return err
}

func (c *compiler) line(path, name string, in *lineDoc) (Line, error) {
	l := Line{Name: name, Output: in.Direction == "out"}
	if !identifier(name) {
		return l, c.doc.Errorf(path, "want a name of letters and digits, got %q", name)
	}
	switch in.Direction {
	case "out":
		if err := c.absent(path, "an output has none", "pull"); err != nil {
			return l, err
		}
	case "in":
		if err := c.absent(path, "an input has none", "safe"); err != nil {
			return l, err
		}
	default:
		return l, c.doc.Errorf(config.Join(path, "direction"), "want in or out, got %q", in.Direction)
	}
	switch in.Safe {
	case "", "low":
	case "high":
		l.High = true
	default:
		return l, c.doc.Errorf(config.Join(path, "safe"), "want low or high, got %q", in.Safe)
	}
	switch in.Pull {
	case "", "off":
	case "down":
		l.Pull = PullDown
	case "up":
		l.Pull = PullUp
	default:
		return l, c.doc.Errorf(config.Join(path, "pull"), "want up, down or off, got %q", in.Pull)
	}
	return l, nil
}

// level compiles a raw number that is the level of a line.
func (c *compiler) level(path string, in *rawDoc) (cut, error) {
	if err := c.absent(path, "a line has a level and nothing else", "from", "at", "type", "shift", "mask", "sign", "parts"); err != nil {
		return cut{}, err
	}
	i, err := c.lineIndex(path, in.Line)
	return cut{at: i, size: 1}, err
}

// lineIndex finds the line that the key line below path names.
func (c *compiler) lineIndex(path, name string) (int, error) {
	i := slices.IndexFunc(c.out.Lines, func(l Line) bool { return l.Name == name })
	if i < 0 {
		return 0, c.doc.Errorf(config.Join(path, "line"), "want one of %s, got %q", strings.Join(slices.Sorted(maps.Keys(c.in.Lines)), ", "), name)
	}
	return i, nil
}
