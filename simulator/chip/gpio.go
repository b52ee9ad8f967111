package chip

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// GPIOLines is how many lines a GPIO chip has, at the offsets from 0: those of
// a BCM2835.
const GPIOLines = 54

// Drive is what a host does to a line.
type Drive uint8

// The drives. A host that has not touched a line has released it.
const (
	Released   Drive = iota // it is an input, pulled or not
	DrivenLow               // it is an output
	DrivenHigh              //
)

// Part is what is wired to a line of a GPIO chip. It is safe for concurrent
// use.
type Part interface {
	// Drive says what the host does to the line from now on.
	Drive(now time.Time, d Drive)
	// Level returns the level at which the part holds the line; ok is false
	// when it holds none: it listens, or it is not there.
	Level(now time.Time) (l gpio.Level, ok bool)
}

// GPIO is a GPIO chip whose lines behave as periph's do on Linux
// (periph.io/x/host/v3/gpioioctl), the trap included: Read makes an output an
// input that is pulled up. Edges and PWM are not simulated. Lines keep what a
// host has made of them when it leaves. It is safe for concurrent use.
type GPIO struct {
	name  string
	lines [GPIOLines]line
}

// NewGPIO returns a chip named name with parts at the offsets of its lines. All
// lines are released.
func NewGPIO(name string, parts map[int]Part) (*GPIO, error) {
	c := &GPIO{name: name}
	for i := range c.lines {
		c.lines[i] = line{chip: name, offset: i, part: parts[i]}
	}
	for offset := range parts {
		if offset < 0 || offset >= GPIOLines {
			return nil, fmt.Errorf("chip: %s: line %d: want 0 to %d", name, offset, GPIOLines-1)
		}
	}
	return c, nil
}

// String returns the chip's name.
func (c *GPIO) String() string { return c.name }

// Close does nothing: lines stay as they are when a host closes its chip.
func (c *GPIO) Close() error { return nil }

// Line returns the line at an offset, always the same.
func (c *GPIO) Line(offset int) (gpio.PinIO, error) {
	if offset < 0 || offset >= GPIOLines {
		return nil, fmt.Errorf("%s has the lines 0 to %d, not %d", c.name, GPIOLines-1, offset)
	}
	return &c.lines[offset], nil
}

// line is one line and what is wired to it.
type line struct {
	chip   string
	offset int
	part   Part // nil: nothing

	mu    sync.Mutex
	drive Drive
	pull  gpio.Pull // of an input
}

var _ gpio.PinIO = (*line)(nil)

// In makes the line an input.
func (l *line) In(pull gpio.Pull, edge gpio.Edge) error {
	if edge != gpio.NoEdge {
		return errors.New("edges are not simulated, read the level")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in(pull)
	return nil
}

func (l *line) in(pull gpio.Pull) {
	if pull != gpio.PullNoChange {
		l.pull = pull
	}
	l.set(Released)
}

func (l *line) set(d Drive) {
	l.drive = d
	if l.part != nil {
		l.part.Drive(time.Now(), d)
	}
}

// Out makes the line an output.
func (l *line) Out(level gpio.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level {
		l.set(DrivenHigh)
	} else {
		l.set(DrivenLow)
	}
	return nil
}

// Read returns the level that the part holds, or the pull's without one. An
// output becomes an input that is pulled up, as with GPIOLine.Read of gpioioctl.
func (l *line) Read() gpio.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drive != Released {
		l.in(gpio.PullUp)
	}
	if l.part != nil {
		if level, ok := l.part.Level(time.Now()); ok {
			return level
		}
	}
	return l.pull == gpio.PullUp
}

// String returns the chip's name and the offset.
func (l *line) String() string { return fmt.Sprintf("%s line %d", l.chip, l.offset) }

// Name returns what String returns.
func (l *line) Name() string { return l.String() }

// Number returns the offset.
func (l *line) Number() int { return l.offset }

// Function returns nothing: asking periph for it reads the line.
func (l *line) Function() string { return "" }

// Halt does nothing.
func (l *line) Halt() error { return nil }

// Pull returns what the last In set.
func (l *line) Pull() gpio.Pull {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pull
}

// DefaultPull is not known, as with gpioioctl.
func (l *line) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// WaitForEdge returns false at once: In refuses edges.
func (l *line) WaitForEdge(time.Duration) bool { return false }

// PWM always fails, as with gpioioctl.
func (l *line) PWM(gpio.Duty, physic.Frequency) error { return errors.New("PWM() not implemented") }
