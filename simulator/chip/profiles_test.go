package chip_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"pgregory.net/rapid"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/hal/regmap"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/world"
)

// run does a task's steps and waits, as the owner of a bus does.
func run(b i2c.Bus, task bus.Task) error {
	for {
		wait, done, err := task.Step(b)
		if err != nil || done {
			return err
		}
		time.Sleep(wait)
	}
}

// reader reads one device through its profile.
type reader struct {
	t       *testing.T
	profile *profile.Profile
	device  *regmap.Device
	bus     i2c.Bus
	sample  regmap.Sample
}

func newReader(t *testing.T, profileID string, addr uint16, c chip.Chip) *reader {
	t.Helper()
	p, err := profiles.Load(profileID)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, profile: p, device: regmap.New(p, addr), bus: newBus(t, map[uint16]chip.Chip{addr: c})}
}

func (r *reader) read() {
	r.t.Helper()
	if err := run(r.bus, r.device.Read(&r.sample)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) expect(point id.Point, want, tolerance float64) {
	r.t.Helper()
	i, ok := r.profile.Point(point)
	if !ok {
		r.t.Fatalf("%s has no point %s", r.profile.ID, point)
	}
	got := r.profile.Body().Columns[i].Float(r.sample.V[i])
	if q := wire.QualityOf(r.sample.Q, i); q != wire.Good || math.Abs(got-want) > tolerance {
		r.t.Errorf("%s reads %v (%v), want %v", point, got, q, want)
	}
}

// Profiles and chips are written by different hands from the same datasheets:
// what the one reads must be what the other stands in.
func TestTheProfilesReadTheClimateThatTheChipsStandIn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		air := world.Climate{
			Celsius:  rapid.Float64Range(-39.9, 84.9).Draw(rt, "celsius"),
			Humidity: rapid.Float64Range(0, 100).Draw(rt, "humidity"),
			Pascal:   rapid.Float64Range(30100, 109900).Draw(rt, "pascal"),
		}
		part := rapid.Uint64().Draw(rt, "part")
		timing := rapid.SampledFrom([]chip.Timing{chip.Typical, chip.Slowest}).Draw(rt, "timing")
		probe := func(time.Time) world.Climate { return air }
		synctest.Test(t, func(t *testing.T) {
			bme := newReader(t, "bosch.bme280", 0x76, chip.NewBME280(probe, chip.CalibrationOf(part), timing))
			tmp := newReader(t, "ti.tmp102", 0x48, chip.NewTMP102(probe, timing))
			time.Sleep(40 * time.Millisecond) // start-up, and the first conversion of the slowest TMP102
			bme.read()
			// One sample of each: 16 bits, which are 0.005 degrees and 2.6 Pa.
			bme.expect("temperature", air.Celsius, 0.02)
			bme.expect("pressure", air.Pascal, 6)
			bme.expect("humidity", air.Humidity, 0.1)
			tmp.read()
			tmp.expect("temperature", air.Celsius, 1.0/32+0.001)
		})
	})
}

func TestTheCountersProfileReadsEveryConversionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(t, "atrium.counter", 0x20, chip.NewCounter(0))
		for n := range 100 {
			r.read()
			r.expect("count", float64(n+1), 0)
		}
	})
}
