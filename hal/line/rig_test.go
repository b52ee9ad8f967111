package line

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
	"periph.io/x/conn/v3/pin"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const low, high = gpio.Low, gpio.High

// line is a pin that reports what Linux would do silently: reading an output
// makes an input of it.
type line struct {
	gpiotest.Pin
	t       *testing.T
	out     bool
	held    bool          // from outside, which is stronger than any pull
	driven  []gpio.Level  // since the log was cleared
	ins     []gpio.Pull   // since then
	fail    error         // of each access
	blocked chan struct{} // Out and Read wait for it to be closed
}

// In pulls the line, unless something else holds it.
func (l *line) In(pull gpio.Pull, edge gpio.Edge) error {
	if l.fail != nil {
		return l.fail
	}
	was := l.L
	l.out, l.ins = false, append(l.ins, pull)
	err := l.Pin.In(pull, edge)
	if l.held {
		l.L = was
	}
	return err
}

func (l *line) Out(level gpio.Level) error {
	l.wait()
	if l.fail != nil {
		return l.fail
	}
	l.out, l.driven = true, append(l.driven, level)
	return l.Pin.Out(level)
}

func (l *line) Read() gpio.Level {
	l.wait()
	if l.out {
		l.t.Errorf("%s is an output and was read", l)
	}
	return l.Pin.Read()
}

func (l *line) wait() {
	if l.blocked != nil {
		<-l.blocked
	}
}

func (l *line) Func() pin.Func {
	if l.out {
		l.t.Errorf("%s is an output and was asked for its function", l)
	}
	return l.Pin.Func()
}

func (l *line) Function() string { return string(l.Func()) }

// honest is a pin whose reads can fail.
type honest struct{ *line }

func (h honest) TryRead() (gpio.Level, error) { return h.Pin.Read(), h.fail }

// chip has a line at each offset, made when it is asked for.
type chip struct {
	t      *testing.T
	lines  map[int]*line
	honest bool
	fail   error // of Line
}

func newChip(t *testing.T) *chip { return &chip{t: t, lines: map[int]*line{}} }

func (c *chip) String() string { return "chip" }
func (c *chip) Close() error   { return nil }

// at is the line at an offset. It is high before anybody touches it.
func (c *chip) at(offset int) *line {
	if c.lines[offset] == nil {
		c.lines[offset] = &line{Pin: gpiotest.Pin{N: "line", Num: offset, L: high}, t: c.t}
	}
	return c.lines[offset]
}

func (c *chip) Line(offset int) (gpio.PinIO, error) {
	switch {
	case c.fail != nil:
		return nil, c.fail
	case c.honest:
		return honest{c.at(offset)}, nil
	}
	return c.at(offset), nil
}

// drive runs a task to its end without waiting and returns the waits' sum.
func drive(c Chip, t bus.Task[Chip]) (time.Duration, error) {
	var sum time.Duration
	for {
		wait, done, err := t.Step(c)
		if sum += wait; done || err != nil {
			return sum, err
		}
	}
}

const door = `
id: acme.door
version: 1
bus: {type: gpio}
lines:
  bell: {direction: out}
  lock: {direction: out, safe: high}
  open: {direction: in, pull: up}
raw: {b: {line: bell}, l: {line: lock}, o: {line: open}}
points:
  - {name: bell, expr: b, kind: boolean}
  - {name: locked, expr: l, kind: boolean}
  - {name: open, expr: 1-o, kind: boolean}
commands:
  lock: {args: {on: {kind: boolean}}, do: [{line: lock, level: "on"}], confirm: shadow, idempotent: true}
  ring:
    do: [{line: bell, level: "1", hold: 300ms}, {line: bell, level: "0", hold: 200ms}, {line: bell, level: "1", hold: 300ms}, {line: bell, level: "0"}]
  share: {args: {n: {range: [0, 9]}}, do: [{line: lock, level: "1"}, {line: bell, level: 1/n > 0.5}]}
`

const bell, lock, open = 5, 6, 7

// rig is the door on a chip.
type rig struct {
	*chip
	profile *profile.Profile
	device  *Device
	sample  profile.Sample
}

func newRig(t *testing.T) *rig {
	t.Helper()
	p, err := profile.Parse("door.yaml", []byte(door))
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(p, map[string]int{"bell": bell, "lock": lock, "open": open})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{chip: newChip(t), profile: p, device: d}
}

// forget clears what the lines were driven to.
func (c *chip) forget() {
	for _, l := range c.lines {
		l.driven, l.ins = nil, nil
	}
}

func (r *rig) read() error {
	r.forget()
	_, err := drive(r.chip, r.device.Read(&r.sample))
	return err
}

func (r *rig) do(name string, args ...float64) error {
	r.forget()
	task, err := r.device.Do(&profile.Command{Name: name}, args)
	if err != nil {
		return err
	}
	_, err = drive(r.chip, task)
	return err
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// want compares the sample with "bell locked open", 0 or 1 each.
func (r *rig) want(v string) {
	r.t.Helper()
	if got := strings.Trim(fmt.Sprint(r.sample.V), "[]"); got != v || r.sample.Q != 0 {
		r.t.Errorf("read %s (quality %b), want %s", got, r.sample.Q, v)
	}
}

// drove compares what a line was driven to by the last task.
func (r *rig) drove(offset int, want ...gpio.Level) {
	r.t.Helper()
	if got := r.at(offset).driven; !slices.Equal(got, want) {
		r.t.Errorf("line %d was driven to %v, want %v", offset, got, want)
	}
}

// play plays a transcript; the package comment of firmware-profiles has its
// form. It returns the number of readings and commands.
func play(t *testing.T, p *profile.Profile, text string) (outcomes int) {
	t.Helper()
	c := newChip(t)
	offsets := map[string]int{}
	level := map[string]gpio.Level{"low": low, "high": high}
	var d *Device
	var s profile.Sample
	for n, row := range strings.Split(text, "\n") {
		f := strings.Fields(row)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var err error
		switch f[0] {
		case "line":
			var offset int
			if _, err = fmt.Sscan(f[2], &offset); err == nil {
				offsets[f[1]] = offset
			}
		case "in":
			c.at(offsets[f[1]]).L, c.at(offsets[f[1]]).held = level[f[2]], true
		case "out":
			driven := c.at(offsets[f[1]]).driven
			if len(driven) == 0 || slices.ContainsFunc(driven, func(l gpio.Level) bool { return l != level[f[2]] }) {
				err = fmt.Errorf("was driven to %v", driven)
			}
		default:
			if d == nil {
				if d, err = New(p, offsets); err != nil {
					t.Fatal(err)
				}
			}
			outcomes++
			c.forget()
			err = act(c, d, p, &s, f)
		}
		if err != nil {
			t.Fatalf("line %d, %q: %v", n+1, row, err)
		}
	}
	return outcomes
}

// act does one do, read or fail of a transcript.
func act(c *chip, d *Device, p *profile.Profile, s *profile.Sample, f []string) error {
	switch f[0] {
	case "do":
		cmd, ok := p.Command(f[1])
		if !ok {
			return errors.New("no such command")
		}
		var call []wire.Arg
		for _, a := range f[2:] {
			name, value, _ := strings.Cut(a, "=")
			v := wire.Value{Kind: wire.KindBoolean}
			if value == "true" {
				v.Number = 1
			}
			call = append(call, wire.Arg{Name: name, Value: v})
		}
		args, err := cmd.Bind(call)
		if err != nil {
			return err
		}
		task, err := d.Do(cmd, args)
		if err != nil {
			return err
		}
		_, err = drive(c, task)
		return err
	case "read":
		if _, err := drive(c, d.Read(s)); err != nil {
			return err
		}
		for i, point := range p.Points {
			if want := fmt.Sprintf("%s=%d", point.Name, s.V[i]); wire.QualityOf(s.Q, i) != wire.Good || f[i+1] != want {
				return fmt.Errorf("got %s, %v", want, wire.QualityOf(s.Q, i))
			}
		}
		return nil
	}
	return errors.New("want line, in, do, out or read")
}

func load(t *testing.T, id string) *profile.Profile {
	t.Helper()
	p, err := profiles.Load(id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
