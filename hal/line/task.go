package line

import (
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/atrium-iot/atrium/shared/profile"
)

// phase is what a task does with lines.
type phase uint8

const (
	settingUp phase = iota // each line that is not settled
	sampling               // each line, in order
	acting                 // the command's actions, in order
)

// task is a reading or a command, and all that a device keeps between them.
// One that was abandoned is never used again: a step of it may be stuck in the
// kernel, or may not even have begun.
type task struct {
	profile *profile.Profile
	offsets []int
	pins    []gpio.PinIO // nil until first touched
	levels  []byte       // 0 or 1 of each line: of an input as read, of an output its shadow
	settled []bool       // of each line: it is set up, and its level is known
	values  *profile.Values
	targets []gpio.Level // of the command's actions

	mu        sync.Mutex // guards what follows; never held during an access
	abandoned bool       // nobody waits for it
	phase     phase
	at        int              // the line, or the action when acting
	into      *profile.Sample  // of a reading
	command   *profile.Command // otherwise
}

func newTask(p *profile.Profile, offsets []int) *task {
	actions := 0
	for i := range p.Commands {
		actions = max(actions, len(p.Commands[i].Do))
	}
	n := len(p.Lines)
	return &task{
		profile: p, offsets: offsets, values: p.NewValues(),
		pins: make([]gpio.PinIO, n), levels: make([]byte, n), settled: make([]bool, n), targets: make([]gpio.Level, actions),
	}
}

func (t *task) isAbandoned() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.abandoned
}

// begin prepares the next run of the task.
func (t *task) begin(into *profile.Sample, c *profile.Command) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.into, t.command = into, c
	t.phase, t.at = settingUp, 0
}

// Step implements bus.Task: one access to one line.
func (t *task) Step(c Chip) (wait time.Duration, done bool, err error) {
	t.mu.Lock()
	i, any := t.next()
	gone := t.abandoned
	t.mu.Unlock()
	switch {
	case gone:
		return 0, true, nil
	case any:
		t.settled[i] = false
		err = t.access(c, i)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.abandoned:
		return 0, true, nil
	case err != nil:
		return 0, false, fmt.Errorf("line: %s: %s %s at %d: %w", t.profile.ID, t.verb(i), t.profile.Lines[i].Name, t.offsets[i], err)
	case any:
		wait = t.took(i)
	}
	if _, any = t.next(); any {
		return wait, false, nil
	}
	t.finish()
	return 0, true, nil
}

// Abandon implements bus.Task: the sample stays as it is, and no further line
// is touched.
func (t *task) Abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.abandoned = true
}

// next returns the line of the next access and enters the next phase where one
// ends; false at the end of the task. A command needs no inputs.
func (t *task) next() (line int, ok bool) {
	if t.phase == settingUp {
		for ; t.at < len(t.settled); t.at++ {
			if !t.settled[t.at] && (t.command == nil || t.profile.Lines[t.at].Output) {
				return t.at, true
			}
		}
		t.phase, t.at = sampling, 0
		if t.command != nil {
			t.phase = acting
		}
	}
	if t.phase == acting {
		if t.at < len(t.command.Do) {
			return t.command.Do[t.at].Line, true
		}
		return 0, false
	}
	return t.at, t.at < len(t.levels)
}

// access does what the phase wants of a line. Only outputs are driven, and only
// inputs are read.
func (t *task) access(c Chip, i int) error {
	pin, err := t.pin(c, i)
	if err != nil {
		return err
	}
	l := &t.profile.Lines[i]
	switch {
	case t.phase == settingUp && !l.Output:
		return pin.In(pulls[l.Pull], gpio.NoEdge)
	case !l.Output:
		level, err := read(pin)
		t.levels[i] = bit(level)
		return err
	case t.phase == settingUp:
		t.levels[i] = bit(gpio.Level(l.High))
	case t.phase == acting:
		t.levels[i] = bit(t.targets[t.at])
	}
	return pin.Out(t.levels[i] == 1)
}

func (t *task) pin(c Chip, i int) (gpio.PinIO, error) {
	if t.pins[i] == nil {
		pin, err := c.Line(t.offsets[i])
		if err != nil {
			return nil, err
		}
		t.pins[i] = pin
	}
	return t.pins[i], nil
}

// verb says what access does, for errors.
func (t *task) verb(i int) string {
	switch {
	case t.phase == settingUp:
		return "set up"
	case t.profile.Lines[i].Output:
		return "drive"
	}
	return "read"
}

var pulls = [...]gpio.Pull{profile.PullOff: gpio.Float, profile.PullDown: gpio.PullDown, profile.PullUp: gpio.PullUp}

// took accounts for an access that succeeded. What a command drove is settled
// at the command's end.
func (t *task) took(i int) (wait time.Duration) {
	if t.phase == acting {
		wait = t.command.Do[t.at].Hold
	} else {
		t.settled[i] = true
	}
	t.at++
	return wait
}

func (t *task) finish() {
	if t.command == nil {
		t.into.Q = t.values.Decode(t.levels, t.into.V)
		return
	}
	for i := range t.command.Do {
		t.settled[t.command.Do[i].Line] = true
	}
}
