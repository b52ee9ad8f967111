package remote

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// Lines is the near end of a GPIO chip. It is safe for several goroutines; one
// request is in flight at a time.
type Lines struct{ *client }

// NewLines returns the GPIO chip of that name without connecting to its board:
// the first request of a line does. It is for a board that may come later than
// its gateway; everything else is as for DialLines.
func NewLines(socket, chip string) (*Lines, error) {
	c, err := newClient(socket, chip, kindOpenLines)
	if err != nil {
		return nil, err
	}
	return &Lines{c}, nil
}

// DialLines opens the GPIO chip of that name at the board process that listens
// on the unix socket. It fails when the board is not there or has no such chip;
// later the chip connects again by itself, one attempt a request, and its lines
// return an *UnreachableError while it cannot. ctx bounds DialLines alone.
func DialLines(ctx context.Context, socket, chip string) (*Lines, error) {
	l, err := NewLines(socket, chip)
	if err != nil {
		return nil, err
	}
	if err := l.dial(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// Line returns the line at an offset on the chip, without asking the board:
// whether it has the line, the first request says. The line of one call knows
// nothing of another's, and neither is closed; Close of the chip ends both.
//
// Edges and PWM are not carried. gpio.PinIO's Read has no error: it is Low when
// the level could not be had. The line's other method, TryRead, says why.
func (l *Lines) Line(offset int) (gpio.PinIO, error) {
	if offset < 0 || offset > math.MaxUint16 {
		return nil, fmt.Errorf("remote: %s: line %d: want 0 to %d", l.name, offset, math.MaxUint16)
	}
	return &line{chip: l, offset: uint16(offset)}, nil
}

// line is one line of a GPIO chip.
type line struct {
	chip   *Lines
	offset uint16
	pull   atomic.Uint32 // what In set last
}

// In makes the line an input. edge must be gpio.NoEdge.
func (l *line) In(pull gpio.Pull, edge gpio.Edge) error {
	switch {
	case edge != gpio.NoEdge:
		return fmt.Errorf("remote: %s: edges are not carried, read the level", l)
	case pull > gpio.PullUp:
		return fmt.Errorf("remote: %s: want float, down, up or no change, got %s", l, pull)
	}
	if err := l.do(lineRequest{kindIn, l.offset, byte(pull)}); err != nil {
		return err
	}
	if pull != gpio.PullNoChange {
		l.pull.Store(uint32(pull))
	}
	return nil
}

// Out makes the line an output of that level.
func (l *line) Out(level gpio.Level) error {
	q := lineRequest{kind: kindOut, offset: l.offset}
	if level {
		q.arg = 1
	}
	return l.do(q)
}

// TryRead returns the line's level, or why it could not be had: an error of the
// far line is a *BusError, any other is of the connection.
func (l *line) TryRead() (gpio.Level, error) {
	var level [1]byte
	q := lineRequest{kind: kindRead, offset: l.offset}
	err := l.chip.do(q.append, level[:], func() error {
		if level[0] > 1 {
			return fmt.Errorf("level %d, want 0 or 1", level[0])
		}
		return nil
	})
	return err == nil && level[0] == 1, err
}

// Read is TryRead without its error.
func (l *line) Read() gpio.Level {
	level, _ := l.TryRead()
	return level
}

func (l *line) do(q lineRequest) error { return l.chip.do(q.append, nil, nil) }

// String returns the chip's name and the offset.
func (l *line) String() string { return fmt.Sprintf("%s line %d", l.chip.name, l.offset) }

// Name returns what String returns.
func (l *line) Name() string { return l.String() }

// Number returns the offset.
func (l *line) Number() int { return int(l.offset) }

// Function returns nothing: what the line is now, only the board knows.
func (l *line) Function() string { return "" }

// Halt does nothing: nothing runs between requests.
func (l *line) Halt() error { return nil }

// Pull returns what In set last.
func (l *line) Pull() gpio.Pull { return gpio.Pull(l.pull.Load()) }

// DefaultPull is not known.
func (l *line) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// WaitForEdge returns false at once: In refuses edges.
func (l *line) WaitForEdge(time.Duration) bool { return false }

// PWM always fails.
func (l *line) PWM(gpio.Duty, physic.Frequency) error {
	return errors.New("remote: PWM is not carried")
}
