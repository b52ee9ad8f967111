// Package regmap reads devices as their profiles describe them: it runs a
// profile's programs on a periph I2C bus and decodes what they read. It knows
// no device type, keeps no schedule and retries nothing.
//
//	Device.Read -> task -> bus.Owner: Step, wait, Step ... -> Sample
//
// The first reading of a device runs its calibration and init before the read
// program. So does the reading after one that failed, was abandoned or gave a
// bad value, because any of these may mean that the device was reset and lost
// its configuration; only a CRC mismatch says that it is still there. Delays
// and polls are waits between steps, in which the bus serves other devices.
package regmap

import (
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Device is a device at an address. It belongs to one goroutine; the tasks
// that it gives belong to the bus until they are done.
type Device struct {
	profile *profile.Profile
	addr    uint16
	reading *reading
}

// New returns the device of that type at an address. It does not touch it.
func New(p *profile.Profile, addr uint16) *Device {
	return &Device{profile: p, addr: addr, reading: newReading(p, addr)}
}

// Read returns a task that reads the device once into a sample, which is
// complete when the task is done without an error and unchanged otherwise. The
// task before must be done. After bus.ErrStalled a step of it may still be in
// the kernel; its late result is dropped.
// In the steady state Read and its steps do not allocate.
func (d *Device) Read(into *profile.Sample) bus.Task[i2c.Bus] {
	if d.reading.isAbandoned() {
		d.reading = newReading(d.profile, d.addr)
	}
	d.reading.rewind(into)
	return d.reading
}

// phase is which of the profile's programs runs.
type phase uint8

const (
	calibrating phase = iota
	initialising
	sampling
	ended
)

func (p phase) String() string { return [...]string{"calib", "init", "read", "end"}[p] }

// reading is a task and all that a device keeps between its readings. One that
// was abandoned is never used again: a step of it may be stuck in the kernel, or
// may not even have begun.
type reading struct {
	profile *profile.Profile
	addr    uint16
	scratch []byte
	values  *profile.Values
	status  [1]byte // what a poll reads

	mu        sync.Mutex // guards what follows; never held during a transaction
	abandoned bool       // nobody waits for it
	ready     bool       // the device is set up
	phase     phase
	at, tries int // the next step of the phase's program, and how often it was polled
	into      *profile.Sample
}

func newReading(p *profile.Profile, addr uint16) *reading {
	n := max(p.Calibration.Scratch, p.Init.Scratch, p.Read.Scratch)
	return &reading{profile: p, addr: addr, scratch: make([]byte, n), values: p.NewValues()}
}

func (r *reading) isAbandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned
}

// rewind prepares the next run of the task.
func (r *reading) rewind(into *profile.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(into.V) != len(r.profile.Points) {
		into.V = make([]int64, len(r.profile.Points))
	}
	r.into, r.at, r.tries, r.phase = into, 0, 0, calibrating
	if r.ready {
		r.phase = sampling
	}
	r.ready = false // until this run has come to its end
}

// Step implements bus.Task: one transaction, then all steps up to the next.
func (r *reading) Step(b i2c.Bus) (wait time.Duration, done bool, err error) {
	s := r.begin()
	if s != nil {
		if s.Op == profile.OpPoll {
			err = b.Tx(r.addr, s.W, r.status[:])
		} else {
			err = b.Tx(r.addr, s.W, r.scratch[s.At:s.At+s.N])
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned {
		return 0, true, nil
	}
	if err == nil && s != nil {
		wait, err = r.took(s)
	}
	for err == nil {
		next := r.next()
		if next == nil || next.Op == profile.OpTx || next.Op == profile.OpPoll {
			break
		}
		if next.Op == profile.OpCRC {
			err = checkCRC(r.scratch[next.At:next.At+next.N], next.CRC)
			// The device answers, so it is still set up, if it was.
			r.ready = err != nil && r.phase == sampling
		}
		if err == nil {
			wait += next.Wait
			r.at++
		}
	}
	if err != nil {
		return 0, false, fmt.Errorf("regmap: %s: %s step %d: %w", r.profile.ID, r.phase, r.at+1, err)
	}
	if r.phase == ended {
		r.finish()
		return 0, true, nil
	}
	return wait, false, nil
}

// Abandon implements bus.Task: the sample stays as it is.
func (r *reading) Abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandoned = true
}

// begin returns the transaction to do, nil if the program begins otherwise or
// the reading was abandoned.
func (r *reading) begin() *profile.Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned {
		return nil
	}
	if s := r.next(); s != nil && (s.Op == profile.OpTx || s.Op == profile.OpPoll) {
		return s
	}
	return nil
}

// took accounts for a transaction that succeeded.
func (r *reading) took(s *profile.Step) (wait time.Duration, err error) {
	if s.Op == profile.OpPoll && r.status[0]&s.Mask != s.Want {
		if r.tries++; r.tries >= s.Tries {
			return 0, fmt.Errorf("never ready: status %#02x after %v", r.status[0], time.Duration(s.Tries-1)*s.Wait)
		}
		return s.Wait, nil
	}
	r.at++
	r.tries = 0
	return 0, nil
}

// next returns the next step and enters the next phase where one ends; nil at
// the end of the reading.
func (r *reading) next() *profile.Step {
	for r.phase < ended {
		if p := r.program(); r.at < len(p.Steps) {
			return &p.Steps[r.at]
		}
		if r.phase == calibrating {
			r.values.Calibrate(r.scratch)
		}
		r.phase++
		r.at = 0
	}
	return nil
}

func (r *reading) program() *profile.Program {
	switch r.phase {
	case calibrating:
		return &r.profile.Calibration
	case initialising:
		return &r.profile.Init
	}
	return &r.profile.Read
}

func (r *reading) finish() {
	r.into.Q = r.values.Decode(r.scratch, r.into.V)
	r.ready = true
	for i := range r.profile.Points {
		if wire.QualityOf(r.into.Q, i) == wire.Bad {
			r.ready = false
		}
	}
}
