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
func run(b i2c.Bus, task bus.Task[i2c.Bus]) error {
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
	sample  profile.Sample
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
			sht := newReader(t, "sensirion.sht31", 0x45, chip.NewSHT31(probe, timing))
			time.Sleep(40 * time.Millisecond) // start-up, and the first conversion of the slowest TMP102
			bme.read()
			// One sample of each: 16 bits, which are 0.005 degrees and 2.6 Pa.
			bme.expect("temperature", air.Celsius, 0.02)
			bme.expect("pressure", air.Pascal, 6)
			bme.expect("humidity", air.Humidity, 0.1)
			tmp.read()
			tmp.expect("temperature", air.Celsius, 1.0/32+0.001)
			// Half of 0.01, and one step of 16 bits.
			sht.read()
			sht.expect("temperature", air.Celsius, 0.005+175.0/65535)
			sht.expect("humidity", air.Humidity, 0.005+100.0/65535)
		})
	})
}

func TestTheProfilesReadTheVoltagesAtTheInputs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var volts [4]float64
		for i := range volts {
			volts[i] = rapid.Float64Range(0, 4.095).Draw(rt, "volts")
		}
		timing := rapid.SampledFrom([]chip.Timing{chip.Typical, chip.Slowest}).Draw(rt, "timing")
		inputs := func(time.Time) [4]float64 { return volts }
		synctest.Test(t, func(t *testing.T) {
			const step = 0.000125
			single := newReader(t, "ti.ads1115", 0x48, chip.NewADS1115(inputs, timing))
			diff := newReader(t, "ti.ads1115-diff", 0x4b, chip.NewADS1115(inputs, timing))
			for range 2 {
				single.read()
				for i, point := range []id.Point{"a0", "a1", "a2", "a3"} {
					single.expect(point, volts[i], step)
				}
				diff.read()
				diff.expect("d01", volts[0]-volts[1], step)
				diff.expect("d23", volts[2]-volts[3], step)
			}
		})
	})
}

// What a program that used the chip before has left: a heater, or a conversion
// that runs, with another gain at another input. The first reading must be
// right all the same.
func TestTheProfilesReadRightWhateverTheChipDidBefore(t *testing.T) {
	air := world.Climate{Celsius: 21.4, Humidity: 45.6, Pascal: 100123}
	probe := func(time.Time) world.Climate { return air }
	inputs := func(time.Time) [4]float64 { return [4]float64{3.3, 0.1, 2.5, 1} }
	for name, before := range map[string]struct {
		profile string
		addr    uint16
		chip    func() chip.Chip
		write   []byte
		point   id.Point
		want    float64
	}{
		"heater": {"sensirion.sht31", 0x44, func() chip.Chip { return chip.NewSHT31(probe, chip.Slowest) }, []byte{0x30, 0x6d}, "humidity", 45.6},
		"continuous conversion at 8 samples a second": {"ti.ads1115", 0x49, func() chip.Chip { return chip.NewADS1115(inputs, chip.Slowest) }, []byte{0x01, 0x54, 0x03}, "a0", 3.3},
		"single shot at 8 samples a second":           {"ti.ads1115-diff", 0x49, func() chip.Chip { return chip.NewADS1115(inputs, chip.Slowest) }, []byte{0x01, 0xd5, 0x03}, "d01", 3.2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReader(t, before.profile, before.addr, before.chip())
				time.Sleep(40 * time.Millisecond) // start-up
				if err := r.bus.Tx(before.addr, before.write, nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Millisecond)
				r.read()
				r.expect(before.point, before.want, 0.0067)
			})
		})
	}
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
