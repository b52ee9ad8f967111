package chip_test

import (
	"testing"
	"testing/synctest"
	"time"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/hal/host"
	"github.com/atrium-iot/atrium/hal/line"
	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/simulator/chip"
)

// One device's code works on the lines of each.
var _ = []line.Chip{(*chip.GPIO)(nil), (*remote.Lines)(nil), (*host.Lines)(nil)}

// wired is one part read and commanded through its profile.
type wired struct {
	t       *testing.T
	profile *profile.Profile
	device  *line.Device
	chip    line.Chip
	sample  profile.Sample
}

func newWired(t *testing.T, profileID, name string, part chip.Part) *wired {
	t.Helper()
	p, err := profiles.Load(profileID)
	if err != nil {
		t.Fatal(err)
	}
	d, err := line.New(p, map[string]int{name: 9})
	if err != nil {
		t.Fatal(err)
	}
	c, err := chip.NewGPIO("sim-gpio-0", map[int]chip.Part{9: part})
	if err != nil {
		t.Fatal(err)
	}
	return &wired{t: t, profile: p, device: d, chip: c}
}

// run does a task's steps and waits, as the owner of a chip does.
func (w *wired) run(task bus.Task[line.Chip], err error) {
	w.t.Helper()
	for err == nil {
		var wait time.Duration
		var done bool
		if wait, done, err = task.Step(w.chip); done {
			break
		}
		time.Sleep(wait)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// wantRead reads the device, whose one point is boolean.
func (w *wired) wantRead(want int64) {
	w.t.Helper()
	w.run(w.device.Read(&w.sample), nil)
	if got := w.sample.V[0]; got != want {
		w.t.Errorf("%s reads %d, want %d", w.profile.ID, got, want)
	}
}

func TestTheRelaysProfileSwitchesAndNeverReleasesByReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := false
		w := newWired(t, "generic.relay", "out", chip.NewRelay(func(_ time.Time, c bool) { closed = c }))
		set, ok := w.profile.Command("set")
		if !ok {
			t.Fatal("no command set")
		}
		w.wantRead(0)
		for _, on := range []bool{true, false, true} {
			arg := 0.0
			if on {
				arg = 1
			}
			w.run(w.device.Do(set, []float64{arg}))
			for range 3 {
				time.Sleep(time.Second)
				w.wantRead(int64(arg))
				if closed != on {
					t.Errorf("the contacts are closed: %v, want %v", closed, on)
				}
			}
		}
	})
}

func TestTheDetectorsProfileReadsItsOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		moved := start.Add(10 * time.Second)
		w := newWired(t, "generic.pir", "in", chip.NewPIR(func(after, until time.Time) (time.Time, bool) {
			return moved, moved.After(after) && !moved.After(until)
		}, 5*time.Second))
		w.wantRead(0)
		time.Sleep(10 * time.Second)
		w.wantRead(1)
		time.Sleep(4 * time.Second)
		w.wantRead(1)
		time.Sleep(time.Second)
		w.wantRead(0)
	})
}
