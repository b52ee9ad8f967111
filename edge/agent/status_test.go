package agent

import (
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
)

func TestTheTimeToDrainIsThatOfTheBytesAtTheRateThatTheyAreAckedAt(t *testing.T) {
	old := buffer.Stats{Frames: 3, MemoryBytes: 1000, StoredBytes: 9000, OldestAge: time.Minute}
	onTheWay := buffer.Stats{Frames: 1, MemoryBytes: 1000, OldestAge: 100 * time.Millisecond}
	at := func(rate float64) uplink.Stats { return uplink.Stats{Gate: "gate:7443", Drain: rate} }
	for _, c := range []struct {
		name   string
		buffer buffer.Stats
		uplink uplink.Stats
		want   time.Duration
		known  bool
	}{
		{"at 1 kB/s", old, at(1000), 10 * time.Second, true},
		{"nothing was acked yet", old, at(0), 0, false},
		{"nobody waits for that", old, at(0.001), 0, false},
		{"not connected", old, uplink.Stats{Drain: 1000}, 0, false},
		{"frames that are only on their way", onTheWay, at(0), 0, true},
		{"empty", buffer.Stats{}, at(0), 0, true},
	} {
		if eta, known := drainETA(&c.buffer, &c.uplink); eta != c.want || known != c.known {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, eta, known, c.want, c.known)
		}
	}
}
