package chip

import (
	"testing"
	"time"

	"github.com/atrium-iot/atrium/simulator/world"
)

// adsBench is a converter whose inputs the test sets from now on.
func adsBench(t *testing.T, timing Timing, volt *[4]float64) *bench {
	b := newBench(t, world.Climate{})
	c := NewADS1115(func(time.Time) [4]float64 { return *volt }, timing)
	b.tx = func(now time.Time, w, r []byte) error { c.tx(now, w, r); return nil }
	return b
}

func TestAnADS1115PowersOnAsItsDatasheetSays(t *testing.T) {
	b := adsBench(t, Typical, &[4]float64{1})
	b.expect(adsConfig, 0x85, 0x83)
	b.expect(adsLow, 0x80, 0x00)
	b.expect(adsHigh, 0x7f, 0xff)
	b.wait(time.Hour)
	b.expect(adsConversion, 0, 0) // it is powered down
	b.expect(adsConversion, 0, 0, 0xff)
	b.write(adsLow, 0x12, 0x34)
	b.expect(adsLow, 0x12, 0x34)
	b.write(adsLow, 0x56) // half a register
	b.expect(adsLow, 0x12, 0x34)
	b.write(adsConversion, 0x12, 0x34) // read only
	b.expect(adsConversion, 0, 0)
}

func TestAnADS1115sSingleShotTakesItsDataRatesTime(t *testing.T) {
	us := time.Microsecond
	for dr, period := range []time.Duration{125000 * us, 62500 * us, 31250 * us, 15625 * us, 7812500, 4000 * us, 2105263, 1162790} {
		b := adsBench(t, Typical, &[4]float64{0, 0, 0, 1.024})
		b.write(adsConfig, 0xf5, byte(dr<<5|3)) // AIN3 against ground, 2.048 V
		b.expect(adsConfig, 0x75, byte(dr<<5|3))
		b.wait(adsWakeUp + period - 1)
		b.expect(adsConversion, 0, 0)
		b.wait(1)
		b.expect(adsConfig, 0xf5, byte(dr<<5|3))
		b.expect(adsConversion, 0x40, 0x00)
	}
}

// A part may be a tenth slower than its data rate.
func TestASlowADS1115IsWithinItsTolerance(t *testing.T) {
	b := adsBench(t, Slowest, &[4]float64{1.024})
	b.write(adsConfig, 0xc5, 0x83) // 128 SPS
	b.wait(adsWakeUp + 8680*time.Microsecond)
	b.expect(adsConversion, 0, 0)
	b.wait(time.Microsecond)
	b.expect(adsConversion, 0x40, 0x00)
}

func TestAnADS1115ConvertsTheSelectedPairInTheSelectedRange(t *testing.T) {
	volt := [4]float64{0.2, 0.05, -0.1, 0.15}
	for _, row := range []struct {
		mux, pga byte
		want     uint16
	}{
		{0, 5, 0x4b00}, // 0.15 V of 0.256
		{1, 5, 0x1900}, // 0.05
		{2, 5, 0xce00}, // -0.1
		{3, 5, 0x8300}, // -0.25
		{4, 5, 0x6400}, // 0.2
		{5, 5, 0x1900},
		{6, 5, 0xce00},
		{7, 5, 0x4b00},
		{4, 0, 0x042b}, // of 6.144: 1066.7 steps
		{4, 1, 0x0640},
		{4, 2, 0x0c80},
		{4, 3, 0x1900},
		{4, 4, 0x3200},
		{4, 6, 0x6400},
		{4, 7, 0x6400},
	} {
		b := adsBench(t, Typical, &volt)
		b.write(adsConfig, 0x81|row.mux<<4|row.pga<<1, 0x83)
		b.wait(10 * time.Millisecond)
		b.expect(adsConversion, byte(row.want>>8), byte(row.want))
	}
}

// "Data Format": the ends of the range, and one step around zero.
func TestAnADS1115SaturatesAtItsRange(t *testing.T) {
	const step = 2.048 / 32768
	for _, row := range []struct {
		volt float64
		want uint16
	}{
		{2.048, 0x7fff},
		{5, 0x7fff},
		{2.048 - step, 0x7fff},
		{step, 1},
		{0, 0},
		{-step, 0xffff},
		{-2.048 + step, 0x8001},
		{-2.048, 0x8000},
		{-5, 0x8000},
	} {
		b := adsBench(t, Typical, &[4]float64{row.volt})
		b.write(adsConfig, 0xc5, 0x83)
		b.wait(10 * time.Millisecond)
		b.expect(adsConversion, byte(row.want>>8), byte(row.want))
	}
}

func TestAnADS1115ConvertsContinuouslyUntilItIsStopped(t *testing.T) {
	volt := [4]float64{1.024, 0.512}
	b := adsBench(t, Typical, &volt)
	b.write(adsConfig, 0x44, 0xe3) // no OS; AIN0, 2.048 V, continuous, 860 SPS
	b.expect(adsConfig, 0x44, 0xe3)
	b.wait(2 * time.Millisecond)
	b.expect(adsConversion, 0x40, 0x00)
	volt[0] = 0.256
	b.wait(time.Hour + 333)
	b.expect(adsConversion, 0x10, 0x00)

	// The running conversion is finished as it began; the next has the new input.
	b.write(adsConfig, 0x54, 0xe3) // AIN1
	b.expect(adsConversion, 0x10, 0x00)
	b.wait(3 * 1162790)
	b.expect(adsConversion, 0x20, 0x00)

	b.write(adsConfig, 0x55, 0xe3) // power-down
	b.expect(adsConfig, 0x55, 0xe3)
	b.wait(1162790)
	b.expect(adsConfig, 0xd5, 0xe3)
	volt[1] = 0
	b.wait(time.Second)
	b.expect(adsConversion, 0x20, 0x00)
}

func TestAnADS1115IgnoresAStartWhileItConverts(t *testing.T) {
	volt := [4]float64{1.024, 0.512}
	b := adsBench(t, Typical, &volt)
	b.write(adsConfig, 0xc5, 0x83)
	b.wait(time.Millisecond)
	b.write(adsConfig, 0xd5, 0x83) // AIN1: no second conversion follows
	b.wait(7 * time.Millisecond)
	b.expect(adsConversion, 0x40, 0x00)
	b.expect(adsConfig, 0xd5, 0x83)
	b.wait(time.Second)
	b.expect(adsConversion, 0x40, 0x00)
}
