package chip_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
	"tinygo.org/x/drivers/sht3x"

	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/world"
)

// The driver computes in whole thousandths of a degree and hundredths of a
// percent, each rounded down, and beyond 118 degrees its int32 overflows.
func TestTinyGosDriverReadsTheClimateOffAnSHT31(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		want := world.Climate{
			Celsius:  rapid.Float64Range(-40, 118).Draw(t, "celsius"),
			Humidity: rapid.Float64Range(0, 100).Draw(t, "humidity"),
		}
		timing := rapid.SampledFrom([]chip.Timing{chip.Typical, chip.Slowest}).Draw(t, "timing")
		synctest.Test(outer, func(*testing.T) {
			probe := func(time.Time) world.Climate { return want }
			d := sht3x.New(newBus(outer, map[uint16]chip.Chip{sht3x.AddressA: chip.NewSHT31(probe, timing)}))
			time.Sleep(time.Millisecond)
			milli, centi, err := d.ReadTemperatureHumidity()
			if err != nil || math.Abs(float64(milli)/1000-want.Celsius) > 0.0024 || math.Abs(float64(centi)/100-want.Humidity) > 0.011 {
				t.Errorf("%v degrees and %v %% are read as %v and %v (%v)", want.Celsius, want.Humidity, milli, centi, err)
			}
		})
	})
}

// TinyGo has no driver of the ADS1115. This host is the datasheet's own "Quick
// Start Guide" and its formula, V = code * FSR / 2^15, without a look at the chip.
func TestTheQuickStartGuideReadsTheVoltagesOffAnADS1115(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		var volt [4]float64
		for i := range volt {
			volt[i] = rapid.Float64Range(0, 3.3).Draw(t, "volt")
		}
		timing := rapid.SampledFrom([]chip.Timing{chip.Typical, chip.Slowest}).Draw(t, "timing")
		synctest.Test(outer, func(*testing.T) {
			inputs := func(time.Time) [4]float64 { return volt }
			bus := newBus(outer, map[uint16]chip.Chip{0x48: chip.NewADS1115(inputs, timing)})
			for in := range volt {
				// Single-shot, 4.096 V, 128 SPS.
				if err := bus.Tx(0x48, []byte{1, 0xc3 + byte(in)<<4, 0x83}, nil); err != nil {
					t.Fatal(err)
				}
				polls := 0
				for r := []byte{0, 0}; r[0]&0x80 == 0; polls++ {
					time.Sleep(time.Millisecond)
					if err := bus.Tx(0x48, []byte{1}, r); err != nil {
						t.Fatal(err)
					}
				}
				if polls < 8 || polls > 9 { // 7.8 ms, and a tenth more
					t.Errorf("a conversion took %d ms", polls)
				}
				var r [2]byte
				if err := bus.Tx(0x48, []byte{0}, r[:]); err != nil {
					t.Fatal(err)
				}
				got := float64(int16(uint16(r[0])<<8|uint16(r[1]))) * 4.096 / 32768
				if math.Abs(got-volt[in]) > 4.096/32768/2+1e-9 {
					t.Errorf("AIN%d: %v V are read as %v", in, volt[in], got)
				}
			}
		})
	})
}
