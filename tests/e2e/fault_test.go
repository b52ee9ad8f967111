package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"

	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/hal/regmap"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/simulator/board"
	"github.com/atrium-iot/atrium/simulator/fault"
)

// reading is a row of a thermometer.
type reading struct {
	at      time.Duration // since boot
	quality wire.Quality
	value   float64
}

// notebook is a series that keeps the temperature of its rows.
type notebook struct {
	profile     *profile.Profile
	temperature int // its index

	mu     sync.Mutex
	rows   []reading
	health []string // as it changed
}

func (n *notebook) AppendText(_ int64, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.health = append(n.health, text)
	return nil
}

func (n *notebook) Append(tick int64, q uint64, v []int64, _ int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rows = append(n.rows, reading{
		at: time.Duration(tick) * n.profile.Tick, quality: wire.QualityOf(q, n.temperature),
		value: n.profile.Body().Columns[n.temperature].Float(v[n.temperature]),
	})
	return nil
}

// faultBench reads one chip of a simulated board once a second, as a gateway
// does: through its profile, the bus's owner and the device's actor.
func faultBench(t *testing.T, chipType, profileID string, address uint16, plan string) *notebook {
	t.Helper()
	c, err := board.ParseConfig("board.yaml", fmt.Appendf(nil, `
rooms: {lobby: {temperature: 21}}
buses: [{name: sim-i2c-1, chips: [{type: %s, address: %d, room: lobby}]}]
`, chipType, address))
	if err != nil {
		t.Fatal(err)
	}
	faults := fault.New(c.Targets(), c.Seed, nil)
	if err := faults.Plan("faults.yaml", fmt.Appendf(nil, "faults: [{bus: sim-i2c-1, address: %d, %s}]", address, plan)); err != nil {
		t.Fatal(err)
	}
	b, err := board.New(c, nil, faults)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profiles.Load(profileID)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	system := actor.NewActorSystem(actor.Config{Address: "gw", Port: 1}, log)
	if err := system.RegisterDispatcher(device.Dispatcher, actor.DeviceDispatcher()); err != nil {
		t.Fatal(err)
	}
	boot := time.Now()
	owner := bus.New("sim-i2c-1", b.Buses()["sim-i2c-1"], bus.Config{}, log, nil)
	sampler := device.New(system, func() time.Duration { return time.Since(boot) }, nil, log, nil)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for _, err := range []error{sampler.Stop(ctx), owner.Close(ctx), system.Stop(ctx)} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	temperature, ok := p.Point("temperature")
	if !ok {
		t.Fatalf("%s has no temperature", profileID)
	}
	n := &notebook{profile: p, temperature: temperature}
	err = sampler.Add(device.Config{
		Device: id.Device{Site: "hq", Name: "t1"}, Profile: p, Every: time.Second,
		Heartbeat: time.Second, Deadband: map[id.Point]float64{"temperature": 0},
	}, regmap.New(p, address).On(owner), n, n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A chip that does not answer, or whose answer changed on the way, makes bad
// rows and nothing else, and the first reading after the fault is good again:
// also of a chip that was unplugged and is powered on anew, which must not
// report its power-on register of 0 degrees.
func TestAFaultMakesBadReadingsUntilItEnds(t *testing.T) {
	for _, row := range []struct {
		chip, profile string
		address       uint16
		kind, health  string
	}{
		{"tmp102", "ti.tmp102", 0x48, "nack", "absent"},
		{"tmp102", "ti.tmp102", 0x48, "unplugged", "absent"},
		{"sht31", "sensirion.sht31", 0x44, "crc", "faulty: crc"},
		{"sht31", "sensirion.sht31", 0x44, "unplugged", "absent"},
	} {
		t.Run(row.chip+" "+row.kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := faultBench(t, row.chip, row.profile, row.address, "at: 3500ms, for: 3s, kind: "+row.kind)
				time.Sleep(10*time.Second + 500*time.Millisecond)
				synctest.Wait()
				n.mu.Lock()
				defer n.mu.Unlock()
				if want := []string{"ok", row.health, "ok"}; !slices.Equal(n.health, want) {
					t.Errorf("the device's health was %q, want %q", n.health, want)
				}
				if len(n.rows) != 10 {
					t.Fatalf("%d rows of 10 s: %+v", len(n.rows), n.rows)
				}
				for _, r := range n.rows {
					broken := r.at >= 3500*time.Millisecond && r.at < 6500*time.Millisecond
					switch {
					case (r.quality == wire.Good) == broken:
						t.Errorf("at %v: quality %v", r.at, r.quality)
					case !broken && math.Abs(r.value-21) > 8:
						t.Errorf("at %v: %v degrees in a room of 21", r.at, r.value)
					}
				}
			})
		})
	}
}
