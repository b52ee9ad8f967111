package chip_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
	"tinygo.org/x/drivers/bme280"
	"tinygo.org/x/drivers/tmp102"

	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/world"
)

func lobby(time.Time) world.Climate {
	return world.Climate{Celsius: 21.4, Humidity: 45.6, Pascal: 100123}
}

// TinyGo's driver is written by others from the same datasheet: what it reads
// must be the climate that the chip stands in.
func TestTinyGosDriverReadsTheClimateOffATMP102(t *testing.T) {
	for _, celsius := range []float64{-55, -25, -0.25, 0, 0.0625, 21.4, 80, 127.9375} {
		synctest.Test(t, func(t *testing.T) {
			probe := func(time.Time) world.Climate { return world.Climate{Celsius: celsius} }
			d := tmp102.New(newBus(t, map[uint16]chip.Chip{0x48: chip.NewTMP102(probe, chip.Slowest)}))
			d.Configure(tmp102.Config{})
			if !d.Connected() {
				t.Fatal("its power-on configuration is not what the driver expects")
			}
			time.Sleep(36 * time.Millisecond)
			milli, err := d.ReadTemperature()
			if err != nil || math.Abs(float64(milli)/1000-celsius) > 1.0/32+0.001 {
				t.Errorf("%v degrees are read as %v (%v)", celsius, milli, err)
			}
		})
	}
}

// patient waits out the start-up that a reset begins, which TinyGo's driver
// does not do (BST-BME280-DS002, 1.2: 2 ms to the first communication).
type patient struct{ *chip.Bus }

func (p patient) Tx(addr uint16, w, r []byte) error {
	err := p.Bus.Tx(addr, w, r)
	if len(w) == 2 && w[0] == 0xe0 {
		time.Sleep(2 * time.Millisecond)
	}
	return err
}

// The driver computes humidity in floating point and pressure in whole pascals;
// each tolerance is its own rounding plus one step of the converter. It rounds the
// longest measurement down to whole milliseconds, so the part is a typical one.
func TestTinyGosDriverReadsTheClimateOffABME280(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		want := world.Climate{
			Celsius:  rapid.Float64Range(-40, 85).Draw(t, "celsius"),
			Humidity: rapid.Float64Range(0, 99).Draw(t, "humidity"),
			Pascal:   rapid.Float64Range(30000, 110000).Draw(t, "pascal"),
		}
		cal := chip.CalibrationOf(rapid.Uint64().Draw(t, "part"))
		mode := rapid.SampledFrom([]bme280.Mode{bme280.ModeForced, bme280.ModeNormal}).Draw(t, "mode")
		synctest.Test(outer, func(*testing.T) {
			probe := func(time.Time) world.Climate { return want }
			bus := newBus(outer, map[uint16]chip.Chip{0x76: chip.NewBME280(probe, cal, chip.Typical)})
			time.Sleep(2 * time.Millisecond)
			d := bme280.New(patient{bus})
			d.ConfigureWithSettings(bme280.Config{
				Pressure: bme280.Sampling16X, Temperature: bme280.Sampling16X, Humidity: bme280.Sampling1X,
				Period: bme280.Period0_5ms, Mode: mode, IIR: bme280.Coeff4,
			})
			if !d.Connected() {
				t.Fatal("the driver finds no BME280")
			}
			time.Sleep(time.Second)
			milli, err1 := d.ReadTemperature()
			mPa, err2 := d.ReadPressure()
			centi, err3 := d.ReadHumidity()
			if err1 != nil || err2 != nil || err3 != nil {
				t.Fatal(err1, err2, err3)
			}
			if got := float64(milli) / 1000; math.Abs(got-want.Celsius) > 0.011 {
				t.Errorf("%v degrees are read as %v", want.Celsius, got)
			}
			if got := float64(mPa) / 1000; math.Abs(got-want.Pascal) > 2 {
				t.Errorf("%v Pa are read as %v", want.Pascal, got)
			}
			if got := float64(centi) / 100; math.Abs(got-want.Humidity) > 0.05 {
				t.Errorf("%v %% are read as %v", want.Humidity, got)
			}
		})
	})
}
