package chip

import (
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Relay is a relay module with one normally open contact, as they are sold with
// a Songle SRD-05VDC-SL-C: a transistor switches the coil, so that only a line
// that is driven high energises it, and neither an input's pull-up nor a low
// line does. The times are that datasheet's greatest. Not here: the bounce of
// the contacts, the normally closed one, and modules that a low line switches.
type Relay struct {
	contacts func(at time.Time, closed bool)

	mu     sync.Mutex
	coil   bool
	closed bool      // the contacts, when they have come to rest last
	moving bool      // they will follow the coil at due
	due    time.Time //
}

// The times from the coil to the contacts (SRD-05VDC-SL-C, "Coil and contact
// specification": operation time, release time).
const (
	RelayOperate = 10 * time.Millisecond
	RelayRelease = 5 * time.Millisecond
)

// NewRelay returns a relay that is open. contacts is called when it is known
// that they will close or open, and at which moment; a later call with a moment
// that is not later takes that back.
func NewRelay(contacts func(at time.Time, closed bool)) *Relay {
	return &Relay{contacts: contacts}
}

// Drive implements Part. A pulse that is shorter than the armature's way moves
// nothing.
func (r *Relay) Drive(now time.Time, d Drive) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.moving && !now.Before(r.due) {
		r.moving, r.closed = false, r.coil
	}
	coil := d == DrivenHigh
	if coil == r.coil {
		return
	}
	r.coil = coil
	if r.moving = coil != r.closed; !r.moving {
		r.contacts(now, r.closed)
		return
	}
	r.due = now.Add(RelayRelease)
	if coil {
		r.due = now.Add(RelayOperate)
	}
	r.contacts(r.due, coil)
}

// Level implements Part: a relay only listens.
func (r *Relay) Level(time.Time) (gpio.Level, bool) { return gpio.Low, false }
