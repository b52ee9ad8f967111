package chip

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/simulator/world"
)

// shtTx does a transaction of an SHT31 without a clock: its read happens when
// the stretched clock is let go.
func shtTx(c *SHT31) func(now time.Time, w, r []byte) error {
	return func(now time.Time, w, r []byte) error {
		wait, err := c.write(now, w, r)
		if err != nil || len(r) == 0 {
			return err
		}
		return c.read(now.Add(wait), r)
	}
}

// shtBench is a chip in 20 degrees and 50 %, whose words are 5F16 and 8000.
func shtBench(t *testing.T) *bench {
	b := newBench(t, world.Climate{Celsius: 20, Humidity: 50})
	b.tx = shtTx(newSHT31(b.probe, Slowest, b.now))
	b.wait(shtStartUp)
	return b
}

func (b *bench) read(want ...byte) {
	b.t.Helper()
	got := make([]byte, len(want))
	if err := b.tx(b.now, nil, got); err != nil || !bytes.Equal(got, want) {
		b.t.Errorf("reads % x (%v), want % x", got, err, want)
	}
}

func (b *bench) nack(w []byte, n int) {
	b.t.Helper()
	if err := b.tx(b.now, w, make([]byte, n)); !errors.Is(err, NACK) {
		b.t.Errorf("write % x, read %d: %v, want %v", w, n, err, NACK)
	}
}

func (b *bench) shtStatus(hi, lo byte) {
	b.t.Helper()
	got := make([]byte, 3)
	want := []byte{hi, lo, shtChecksum(hi, lo)}
	if err := b.tx(b.now, []byte{0xf3, 0x2d}, got); err != nil || !bytes.Equal(got, want) {
		b.t.Errorf("status reads % x (%v), want % x", got, err, want)
	}
	b.wait(shtGap)
}

func TestAnSHT31sChecksumIsTheDatasheetsExample(t *testing.T) {
	if got := shtChecksum(0xbe, 0xef); got != 0x92 {
		t.Errorf("CRC(BEEF) = %02x, want 92", got)
	}
}

var room20 = []byte{0x5f, 0x16, 0x1a, 0x80, 0x00, 0xa2}

func TestAnSHT31IsReadWhenItsMeasurementIsDone(t *testing.T) {
	for _, row := range []struct {
		low byte
		d   time.Duration
	}{{0x00, 15 * time.Millisecond}, {0x0b, 6 * time.Millisecond}, {0x16, 4 * time.Millisecond}} {
		b := shtBench(t)
		b.nack(nil, 6) // nothing was measured yet
		b.write(0x24, row.low)
		b.wait(row.d - 1)
		b.nack(nil, 6)
		b.nack([]byte{0xf3, 0x2d}, 3) // it is busy
		b.wait(1)
		b.wait(1)
		b.celsius(30) // too late for this measurement
		b.read(room20...)
		b.nack(nil, 6) // a result is read once
	}
}

func TestAnSHT31StretchesTheClockOverItsMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewSHT31(func(time.Time) world.Climate { return world.Climate{Celsius: 20, Humidity: 50} }, Slowest)
		time.Sleep(shtStartUp)
		for _, row := range []struct {
			low byte
			d   time.Duration
		}{{0x06, 15 * time.Millisecond}, {0x0d, 6 * time.Millisecond}, {0x10, 4 * time.Millisecond}} {
			before := time.Now()
			var r [6]byte
			if err := c.Tx([]byte{0x2c, row.low}, r[:]); err != nil || !bytes.Equal(r[:], room20) {
				t.Errorf("2c %02x reads % x, %v", row.low, r, err)
			}
			if took := time.Since(before); took != row.d {
				t.Errorf("2c %02x took %v, want %v", row.low, took, row.d)
			}
		}
	})
}

func TestAnSHT31TellsThatItWasReset(t *testing.T) {
	b := shtBench(t)
	b.shtStatus(0x80, 0x10)
	b.write(0x30, 0x41)
	b.wait(shtGap)
	b.shtStatus(0x00, 0x00)
	b.write(0x30, 0x6d)
	b.wait(shtGap)
	b.shtStatus(0x20, 0x00)
	b.write(0x30, 0xa2)
	b.nack([]byte{0xf3, 0x2d}, 3) // it restarts
	b.wait(shtStartUp)
	b.shtStatus(0x80, 0x10) // the heater is off
}

// The periodic mode, the alert limits and the serial number are not built, and
// a host must not believe that they are.
func TestAnSHT31RefusesCommandsThatItDoesNotKnow(t *testing.T) {
	b := shtBench(t)
	b.write(0x30, 0x41)
	b.wait(shtGap)
	for _, w := range [][]byte{{0x21, 0x30}, {0xe0, 0x00}, {0x2b, 0x32}, {0x36, 0x82}, {0x61, 0x1d, 1, 2, 3}, {0x24, 0x00, 0x00}} {
		b.nack(w, 0)
		b.wait(shtGap)
		b.shtStatus(0x00, 0x02)
	}
	b.write(0x30, 0x66)
	b.wait(shtGap)
	b.shtStatus(0x00, 0x00) // the last command was executed
}

func TestAnSHT31WantsAPauseBetweenCommands(t *testing.T) {
	b := shtBench(t)
	b.write(0x30, 0x41)
	b.wait(shtGap - 1)
	b.nack([]byte{0x24, 0x00}, 0)
	b.wait(1)
	b.write(0x24, 0x00)
}

func TestABreakEndsAnSHT31sMeasurement(t *testing.T) {
	b := shtBench(t)
	b.write(0x24, 0x00)
	b.wait(2 * time.Millisecond)
	b.write(0x30, 0x93)
	b.wait(time.Second)
	b.nack(nil, 6)
	b.write(0x24, 0x00)
	b.wait(15 * time.Millisecond)
	b.read(room20...)
}

func TestACommandDropsAnSHT31sUnreadResult(t *testing.T) {
	b := shtBench(t)
	b.write(0x24, 0x00)
	b.wait(15 * time.Millisecond)
	b.write(0x30, 0x66)
	b.nack(nil, 6)
}

func TestAnSHT31sHeaterWarmsAndDriesTheAir(t *testing.T) {
	b := shtBench(t)
	b.write(0x30, 0x6d)
	b.wait(shtGap)
	b.write(0x24, 0x00)
	b.wait(15 * time.Millisecond)
	got := make([]byte, 6)
	if err := b.tx(b.now, nil, got); err != nil {
		t.Fatal(err)
	}
	celsius := float64(uint16(got[0])<<8|uint16(got[1]))*175/65535 - 45
	humidity := float64(uint16(got[3])<<8|uint16(got[4])) * 100 / 65535
	// Saturation is 2339 Pa at 20 degrees and 2811 Pa at 23.
	if celsius < 22.99 || celsius > 23.01 || humidity < 41 || humidity > 42.2 {
		t.Errorf("20 degrees and 50 %% are read as %.2f and %.2f %%", celsius, humidity)
	}
}

func TestAnSHT31ClipsAtItsRange(t *testing.T) {
	for _, row := range []struct {
		celsius, humidity float64
		want              []byte
	}{
		{-60, -3, []byte{0x07, 0x50, 0, 0}},        // -40 degrees: 5/175
		{160, 130, []byte{0xf8, 0xaf, 0xff, 0xff}}, // 125 degrees: 170/175
	} {
		b := newBench(t, world.Climate{Celsius: row.celsius, Humidity: row.humidity})
		b.tx = shtTx(newSHT31(b.probe, Typical, b.now))
		b.wait(shtStartUp)
		b.write(0x24, 0x16)
		b.wait(2500 * time.Microsecond)
		got := make([]byte, 7)
		if err := b.tx(b.now, nil, got); err != nil {
			t.Fatal(err)
		}
		if words := []byte{got[0], got[1], got[3], got[4]}; !bytes.Equal(words, row.want) || got[6] != 0xff {
			t.Errorf("%v degrees, %v %%: % x, want % x and FF beyond", row.celsius, row.humidity, words, row.want)
		}
	}
}
