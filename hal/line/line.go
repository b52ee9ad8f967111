// Package line serves devices on GPIO lines as their profiles describe them:
// it reads inputs, drives outputs, and decodes the levels. It knows no device
// type, keeps no schedule and retries nothing.
//
//	Device.Read -> task -> bus.Owner: one line a Step ... -> Sample
//	Device.Do   -> task --^
//
// An output is never read: on Linux that would make an input of it and release
// what hangs on it. The device keeps a shadow instead, the level last driven,
// and a reading drives it again: so a line that cannot be driven makes the
// reading fail, and an output that lost its level gets it back.
//
// The shadow is trusted while everything that was driven came to its end. When
// a line is first touched, and after an access to it failed or a command
// stopped halfway, the next task sets the line up again: it drives the output's
// safe level or configures the input. After a stall it does so with all lines
// of the device. The kernel makes a line an output at low before it takes a
// high level, for some microseconds.
package line

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"periph.io/x/conn/v3/gpio"

	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/profile"
)

// Device is a device on lines of one chip. It belongs to one goroutine; the
// tasks that it gives belong to the chip's owner until they are done.
type Device struct {
	profile *profile.Profile
	offsets []int // of the profile's lines
	task    *task
}

// New returns the device of that type whose lines lie at those offsets on their
// chip, by the names that the profile gives them. It does not touch them. The
// error names the line that is missing, unknown or used twice.
func New(p *profile.Profile, offsets map[string]int) (*Device, error) {
	d := &Device{profile: p, offsets: make([]int, len(p.Lines))}
	for i, l := range p.Lines {
		offset, ok := offsets[l.Name]
		switch {
		case !ok:
			return nil, fmt.Errorf("line: %s: line %s: want its offset on the chip", p.ID, l.Name)
		case offset < 0:
			return nil, fmt.Errorf("line: %s: line %s: want an offset of 0 or more, got %d", p.ID, l.Name, offset)
		}
		if twin := slices.Index(d.offsets[:i], offset); twin >= 0 {
			return nil, fmt.Errorf("line: %s: lines %s and %s are both at %d", p.ID, p.Lines[twin].Name, l.Name, offset)
		}
		d.offsets[i] = offset
	}
	for _, name := range slices.Sorted(maps.Keys(offsets)) {
		if !slices.ContainsFunc(p.Lines, func(l profile.Line) bool { return l.Name == name }) {
			return nil, fmt.Errorf("line: profile %s has no line %q", p.ID, name)
		}
	}
	d.task = newTask(p, d.offsets)
	return d, nil
}

// Read returns a task that reads the device once into a sample, which is
// complete when the task is done without an error and unchanged otherwise. The
// task before must be done. After bus.ErrStalled a step of it may still be in
// the kernel; its late result is dropped. In the steady state Read and its
// steps do not allocate.
func (d *Device) Read(into *profile.Sample) bus.Task[Chip] {
	t := d.idle()
	if len(into.V) != len(d.profile.Points) {
		into.V = make([]int64, len(d.profile.Points))
	}
	t.begin(into, nil)
	return t
}

// Do returns a task that executes a command of the device's profile; args are
// what profile.Command.Bind made of its arguments. An error says that the
// command does not fit, and no line is touched. When the task fails or stalls,
// nobody knows which of the command's levels were driven, and the next task
// drives the safe levels of its lines. For the rest Do is as Read.
func (d *Device) Do(c *profile.Command, args []float64) (bus.Task[Chip], error) {
	own, ok := d.profile.Command(c.Name)
	if !ok || len(args) != len(own.Args) {
		return nil, fmt.Errorf("line: profile %s has no command %s with %d arguments", d.profile.ID, c.Name, len(args))
	}
	t := d.idle()
	for i := range own.Do {
		high, ok := own.Do[i].High(args)
		if !ok {
			return nil, fmt.Errorf("line: %s: command %s: these arguments give no level for %s", d.profile.ID, c.Name, d.profile.Lines[own.Do[i].Line].Name)
		}
		t.targets[i] = gpio.Level(high)
	}
	t.begin(nil, own)
	return t, nil
}

// idle returns the device's task, or a new one after a stall.
func (d *Device) idle() *task {
	if d.task.isAbandoned() {
		d.task = newTask(d.profile, d.offsets)
	}
	return d.task
}

// Bound is a device and the owner of the chip that it hangs on.
type Bound struct {
	device *Device
	owner  *bus.Owner[Chip]
	at     bus.Address
}

// On binds the device to the owner of its chip.
func (d *Device) On(owner *bus.Owner[Chip]) *Bound {
	sorted := slices.Sorted(slices.Values(d.offsets))
	text := "line"
	if len(sorted) > 1 {
		text = "lines"
	}
	at := text + " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(sorted), " ", ", "), "[]")
	return &Bound{device: d, owner: owner, at: bus.Address(at)}
}

// Read reads the device once into a sample, as Device.Read says. If it returns
// nil, done is called exactly once, in the owner's goroutine: it must not
// block. The errors are those of bus.Owner.Submit. The next call of Read or Do
// comes after done.
func (b *Bound) Read(into *profile.Sample, done func(error)) error {
	return b.owner.Submit(b.at, b.device.Read(into), done)
}

// Do executes a command, as Device.Do says. If it returns an error no line was
// touched; otherwise done is called as for Read.
func (b *Bound) Do(c *profile.Command, args []float64, done func(error)) error {
	t, err := b.device.Do(c, args)
	if err != nil {
		return err
	}
	return b.owner.Submit(b.at, t, done)
}
