package agent

import (
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
)

func TestTheTimeToDrainIsReadOffHowTheBufferShrinks(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var d drainRate
	at := func(ms int, sampled, acked, held uint64, age time.Duration) (time.Duration, bool) {
		b := buffer.Stats{Sampled: sampled, Acked: acked, Readings: held, OldestAge: age}
		if held > 0 {
			b.Frames = 1
		}
		return d.eta(start.Add(time.Duration(ms)*time.Millisecond), &b)
	}
	for _, look := range []struct {
		name                 string
		ms                   int
		sampled, acked, held uint64
		age                  time.Duration
		want                 time.Duration
		known                bool
	}{
		{"nobody has looked before", 0, 0, 0, 1000, time.Minute, 0, false},
		{"200 acked and 100 sampled in a second", 1000, 100, 200, 900, time.Minute, 9 * time.Second, true},
		{"too soon for another rate", 1100, 110, 900, 200, time.Minute, 2 * time.Second, true},
		{"it grows", 2000, 1000, 900, 300, time.Minute, 0, false},
		{"frames that are only on their way", 3000, 2000, 900, 300, 100 * time.Millisecond, 0, true},
		{"empty", 4000, 2000, 1200, 0, 0, 0, true},
	} {
		if eta, known := at(look.ms, look.sampled, look.acked, look.held, look.age); eta != look.want || known != look.known {
			t.Errorf("%s: %v, %v, want %v, %v", look.name, eta, known, look.want, look.known)
		}
	}
}
