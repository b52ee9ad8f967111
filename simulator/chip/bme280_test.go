package chip

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/simulator/world"
)

// BST-BMP280-DS001, 3.12: the worked example of the shared formulas.
func TestTheCompensationGivesBoschsWorkedExample(t *testing.T) {
	c := TypicalCalibration()
	centi, fine := c.temperature(519888)
	if centi != 2508 || fine != 128422 {
		t.Errorf("T = %d, t_fine = %d, want 2508 and 128422", centi, fine)
	}
	if p := float64(c.pressure(415148, fine)) / 256; math.Abs(p-100653.27) > 0.05 {
		t.Errorf("P = %.2f, want 100653.27", p)
	}
}

// The inversion finds a converter value whose compensated value is the wanted
// one to within a step of the converter, for every part and in the whole range.
func TestTheInversionIsExactToOneStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := CalibrationOf(rapid.Uint64().Draw(t, "part"))
		celsius := rapid.Float64Range(bmeMinCelsius, bmeMaxCelsius).Draw(t, "celsius")
		pascal := rapid.Float64Range(bmeMinPascal, bmeMaxPascal).Draw(t, "pascal")
		percent := rapid.Float64Range(0, 100).Draw(t, "percent")
		_, fine := c.temperature(c.rawTemperature(celsius))
		if got := float64(fine) / 5120; math.Abs(got-celsius) > 0.003 {
			t.Errorf("%v degrees -> %v", celsius, got)
		}
		if got := float64(c.pressure(c.rawPressure(pascal, fine), fine)) / 256; math.Abs(got-pascal) > 0.3 {
			t.Errorf("%v Pa -> %v", pascal, got)
		}
		if got := float64(c.humidity(c.rawHumidity(percent, fine), fine)) / 1024; math.Abs(got-percent) > 0.02 {
			t.Errorf("%v %% -> %v", percent, got)
		}
	})
}

// A driver computes T and H with 32 bits, as the datasheet's code does: no part
// in the chip's range may make it overflow.
func TestNoPartOverflowsTheDatasheets32Bits(t *testing.T) {
	fits := func(v int64) bool { return v == int64(int32(v)) }
	rapid.Check(t, func(t *rapid.T) {
		c := CalibrationOf(rapid.Uint64().Draw(t, "part"))
		adc := c.rawTemperature(rapid.Float64Range(bmeMinCelsius, bmeMaxCelsius).Draw(t, "celsius"))
		_, fine := c.temperature(adc)
		h := c.rawHumidity(rapid.Float64Range(0, 100).Draw(t, "percent"), fine)
		v := fine - 76800
		x := (h<<14 - int64(c.H4)<<20 - int64(c.H5)*v + 16384) >> 15
		y := (((v*int64(c.H6))>>10)*(((v*int64(c.H3))>>11)+32768))>>10 + 2097152
		if !fits((adc>>3-int64(c.T1)<<1)*int64(c.T2)) || !fits(x*((y*int64(c.H2)+8192)>>14)) {
			t.Errorf("part %+v overflows at adc_T %d, adc_H %d", c, adc, h)
		}
	})
}

func bmeBench(t *testing.T) *bench {
	b := newBench(t, world.Climate{Celsius: 25.08, Humidity: 40, Pascal: 100653.27})
	b.tx = newBME280(b.probe, TypicalCalibration(), Typical, b.now).tx
	b.wait(bmeStartUp)
	return b
}

var unmeasured = []byte{0x80, 0, 0, 0x80, 0, 0, 0x80, 0}

func TestABME280ShowsItsIdentityAndTrimming(t *testing.T) {
	b := bmeBench(t)
	b.expect(bmeID, 0x60)
	b.expect(bmeCtrlHum, 0, 0, 0, 0)
	b.expect(bmeData, unmeasured...)
	b.expect(0x88, 0x70, 0x6b, 0x43, 0x67, 0x18, 0xfc) // 27504, 26435, -1000
	b.expect(0xa0, 0, 75)
	b.expect(0xe1, 0x69, 0x01, 0, 0x14, 0x24, 0x03, 30) // H4 = 0x144, H5 = 0x032
	b.write(bmeID, 0x11, 0x88, 0x11, bmeData, 0x11)     // read only
	b.expect(bmeID, 0x60)
	b.expect(0x88, 0x70)
	b.expect(bmeData, 0x80)
}

func TestAForcedMeasurementTakesItsTimeAndReturnsToSleep(t *testing.T) {
	b := bmeBench(t)
	b.write(bmeCtrlHum, 0x01, bmeCtrlMeas, 0x25) // pairs in one transaction
	const took = 8 * time.Millisecond            // 9.1: 1 + 2 + 2.5 + 2.5
	b.wait(took - 1)
	b.expect(bmeStatus, 0x08, 0x25)
	b.expect(bmeData, unmeasured...)
	b.wait(1)
	b.expect(bmeStatus, 0x00, 0x24)
	var r [8]byte
	if err := b.tx(b.now, []byte{bmeData}, r[:]); err != nil {
		t.Fatal(err)
	}
	rawT := int64(r[3])<<12 | int64(r[4])<<4 | int64(r[5])>>4
	// 25.08 degrees are the example's 519888, here with 16 bits' resolution.
	if rawT < 519888-32 || rawT > 519888 || rawT&0xf != 0 {
		t.Errorf("adc_T = %d, want 519888 without its last four bits", rawT)
	}
	b.celsius(60)
	b.wait(time.Hour)
	b.expect(bmeData, r[:]...)
}

func TestTheSlowestPartTakesTheMaximumTime(t *testing.T) {
	c := newBME280(nil, TypicalCalibration(), Slowest, time.Unix(1e9, 0))
	c.reg[bmeCtrlMeas], c.humidityOn = 0xff, 7
	if got, want := c.measurementTime(), 112800*time.Microsecond; got != want {
		t.Errorf("x16 of everything takes %v, want %v", got, want)
	}
}

func TestHumidityIsLatchedByCtrlMeas(t *testing.T) {
	b := bmeBench(t)
	b.write(bmeCtrlMeas, 0x21)
	b.write(bmeCtrlHum, 0x01)
	b.expect(bmeCtrlHum, 0x01)
	b.wait(time.Second)
	b.expect(0xfd, 0x80, 0x00) // too late for this measurement
	b.write(bmeCtrlMeas, 0x21)
	b.wait(time.Second)
	var r [2]byte
	if err := b.tx(b.now, []byte{0xfd}, r[:]); err != nil || r == [2]byte{0x80, 0} {
		t.Errorf("humidity was not measured: % x, %v", r, err)
	}
}

func TestASkippedQuantityReads80000(t *testing.T) {
	b := bmeBench(t)
	b.write(bmeCtrlMeas, 0x21) // temperature alone
	b.wait(time.Second)
	b.expect(bmeData, 0x80, 0, 0)
	b.expect(0xfd, 0x80, 0)
	b.write(bmeCtrlMeas, 0x05) // pressure alone
	b.wait(time.Second)
	b.expect(0xfa, 0x80, 0, 0)
}

func TestAResetForgetsEverythingAndTakesTwoMilliseconds(t *testing.T) {
	b := bmeBench(t)
	b.write(bmeCtrlHum, 5, bmeConfig, 0xa0, bmeCtrlMeas, 0x27)
	b.wait(time.Second)
	b.write(bmeReset, 0x55)
	b.expect(bmeCtrlHum, 5)
	b.write(bmeReset, bmeResetWord)
	var nack Fault
	if err := b.tx(b.now.Add(bmeStartUp-1), []byte{bmeID}, []byte{0}); !errors.As(err, &nack) || nack != NACK {
		t.Errorf("during the start-up: %v", err)
	}
	b.wait(bmeStartUp)
	b.expect(bmeReset, 0)
	b.expect(bmeCtrlHum, 0, 0, 0, 0)
	b.expect(bmeData, unmeasured...)
	if err := b.tx(b.now, []byte{bmeReset, bmeResetWord, bmeID}, []byte{0}); !errors.As(err, &nack) {
		t.Errorf("a read right after the reset word: %v", err)
	}
}

func TestNormalModeMeasuresAgainAndIgnoresConfig(t *testing.T) {
	b := bmeBench(t)
	b.write(bmeConfig, 0xa0, bmeCtrlMeas, 0x23) // standby 1 s; 3 ms a measurement
	b.wait(3 * time.Millisecond)
	var first, second [3]byte
	read := func(into *[3]byte) {
		t.Helper()
		if err := b.tx(b.now, []byte{0xfa}, into[:]); err != nil {
			t.Fatal(err)
		}
	}
	read(&first)
	b.celsius(30)
	b.wait(1003*time.Millisecond - 1)
	read(&second)
	if first != second {
		t.Error("it measured before the standby was over")
	}
	b.wait(1)
	read(&second)
	if first == second {
		t.Error("it did not measure after the standby")
	}
	b.write(bmeConfig, 0x10)
	b.expect(bmeConfig, 0xa0)
	b.wait(10 * 365 * 24 * time.Hour) // and a long idle time costs little
	b.expect(0xfa, second[:]...)
}

func TestAModeChangeWaitsForTheRunningMeasurement(t *testing.T) {
	b := bmeBench(t)
	b.write(bmeCtrlMeas, 0x21) // 3 ms
	b.wait(time.Millisecond)
	b.write(bmeCtrlMeas, 0x41) // waits; x2 takes 5 ms
	b.write(bmeCtrlMeas, 0x00) // ignored: one is waiting
	b.expect(bmeStatus, 0x08, 0x21)
	b.wait(2 * time.Millisecond)
	b.expect(bmeStatus, 0x08, 0x41)
	b.wait(5*time.Millisecond - 1)
	b.expect(bmeStatus, 0x08)
	b.wait(1)
	b.expect(bmeStatus, 0x00, 0x40)
}

func TestTheFilterFollowsAStepByItsCoefficient(t *testing.T) {
	b := bmeBench(t)
	b.write(bmeConfig, 0x08) // coefficient 4
	adc := func() float64 {
		b.write(bmeCtrlMeas, 0x21)
		b.wait(time.Second)
		var r [3]byte
		if err := b.tx(b.now, []byte{0xfa}, r[:]); err != nil {
			t.Fatal(err)
		}
		return float64(int64(r[0])<<12 | int64(r[1])<<4 | int64(r[2])>>4)
	}
	from := adc() // passes through
	c := TypicalCalibration()
	to := float64(c.rawTemperature(50))
	b.celsius(50)
	b.write(bmeCtrlMeas, 0x01) // temperature skipped: the memory is kept
	b.wait(time.Second)
	left := to - from
	for range 5 {
		left *= 0.75
		if got := to - adc(); math.Abs(got-left) > 5 {
			t.Fatalf("%v from the end, want %v", got, left)
		}
	}
	b.write(bmeConfig, 0x10) // another coefficient: the filter begins anew
	if got := adc(); got != to {
		t.Errorf("the first value after a change is %v, want %v", got, to)
	}
}

func TestReadsCountUpAndContinue(t *testing.T) {
	b := bmeBench(t)
	b.write(0x88)
	var r [1]byte
	for _, want := range []byte{0x70, 0x6b, 0x43} {
		if err := b.tx(b.now, nil, r[:]); err != nil || r[0] != want {
			t.Errorf("read %02x (%v), want %02x", r[0], err, want)
		}
	}
	b.expect(0xff, 0, 0) // beyond the last register, and wrapped to the first
}
