package chip

import (
	"bytes"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/simulator/world"
)

// bench moves one chip through time without a clock, in an air that changes
// when the test says so.
type bench struct {
	t   *testing.T
	now time.Time
	air []weather
	tx  func(now time.Time, w, r []byte) error
}

type weather struct {
	from time.Time
	world.Climate
}

func newBench(t *testing.T, air world.Climate) *bench {
	return &bench{t: t, now: time.Unix(1e9, 0), air: []weather{{Climate: air}}}
}

// probe is asked about moments that have passed.
func (b *bench) probe(at time.Time) world.Climate {
	i := len(b.air) - 1
	for i > 0 && b.air[i].from.After(at) {
		i--
	}
	return b.air[i].Climate
}

// celsius changes the temperature from now on.
func (b *bench) celsius(c float64) {
	air := b.air[len(b.air)-1].Climate
	air.Celsius = c
	b.air = append(b.air, weather{b.now, air})
}

func (b *bench) write(w ...byte) {
	b.t.Helper()
	if err := b.tx(b.now, w, nil); err != nil {
		b.t.Fatalf("write % x: %v", w, err)
	}
}

func (b *bench) expect(reg byte, want ...byte) {
	b.t.Helper()
	got := make([]byte, len(want))
	if err := b.tx(b.now, []byte{reg}, got); err != nil || !bytes.Equal(got, want) {
		b.t.Errorf("register %02x reads % x (%v), want % x", reg, got, err, want)
	}
}

func (b *bench) wait(d time.Duration) { b.now = b.now.Add(d) }

func tmpBench(t *testing.T, celsius float64) *bench {
	b := newBench(t, world.Climate{Celsius: celsius})
	c := newTMP102(b.probe, tmpTypical, b.now)
	b.tx = func(now time.Time, w, r []byte) error { c.tx(now, w, r); return nil }
	return b
}

func TestATMP102PowersOnConverting(t *testing.T) {
	b := tmpBench(t, 25)
	b.expect(tmpConfig, 0x60, 0xa0)
	b.expect(tmpLow, 0x4b, 0x00)
	b.expect(tmpHigh, 0x50, 0x00)
	b.wait(tmpTypical - 1)
	b.expect(tmpTemperature, 0x00, 0x00)
	b.wait(1)
	b.expect(tmpTemperature, 0x19, 0x00)
	b.celsius(-25)
	b.wait(250*time.Millisecond - 1)
	b.expect(tmpTemperature, 0x19, 0x00)
	b.wait(1)
	b.expect(tmpTemperature, 0xe7, 0x00)
}

// The datasheet's tables "12-Bit Temperature Data Format" and "13-Bit".
func TestATMP102EncodesTheDatasheetsTables(t *testing.T) {
	for _, row := range []struct {
		celsius  float64
		normal   uint16
		extended uint16
	}{
		{150, 0x7ff, 0x0960},
		{128, 0x7ff, 0x0800},
		{127.9375, 0x7ff, 0x07ff},
		{100, 0x640, 0x0640},
		{80, 0x500, 0x0500},
		{75, 0x4b0, 0x04b0},
		{50, 0x320, 0x0320},
		{0.25, 0x004, 0x0004},
		{0, 0x000, 0x0000},
		{-0.25, 0xffc, 0x1ffc},
		{-25, 0xe70, 0x1e70},
		{-55, 0xc90, 0x1c90},
	} {
		b := tmpBench(t, row.celsius)
		b.wait(time.Second)
		b.expect(tmpTemperature, byte(row.normal>>4), byte(row.normal<<4))
		b.write(tmpConfig, 0x60, 0xb0) // EM
		b.wait(time.Second)
		b.expect(tmpTemperature, byte(row.extended>>5), byte(row.extended<<3)|1)
	}
}

func TestATMP102ConvertsOnceInShutdown(t *testing.T) {
	b := tmpBench(t, 20)
	b.wait(time.Second)
	b.write(tmpConfig, 0x61, 0xa0)
	b.wait(time.Second)
	b.celsius(30)
	b.wait(time.Minute)
	b.expect(tmpTemperature, 0x14, 0x00)
	b.write(tmpConfig, 0xe1) // OS, the first byte alone
	b.expect(tmpConfig, 0x61, 0xa0)
	b.wait(tmpTypical)
	b.expect(tmpConfig, 0xe1, 0xa0)
	b.expect(tmpTemperature, 0x1e, 0x00)
	b.celsius(40)
	b.wait(time.Minute)
	b.expect(tmpTemperature, 0x1e, 0x00)
	b.write(tmpConfig, 0x60)
	b.wait(tmpTypical)
	b.expect(tmpTemperature, 0x28, 0x00)
	b.expect(tmpConfig, 0x60, 0xa0)
}

func TestShutdownLetsARunningConversionFinish(t *testing.T) {
	b := tmpBench(t, 25)
	b.wait(time.Millisecond)
	b.write(tmpConfig, 0x61)
	b.wait(tmpTypical)
	b.expect(tmpTemperature, 0x19, 0x00)
}

func TestATMP102ConvertsAtItsRate(t *testing.T) {
	for bits, period := range []time.Duration{4 * time.Second, time.Second, 250 * time.Millisecond, 125 * time.Millisecond} {
		b := tmpBench(t, 1)
		b.wait(tmpTypical)
		b.expect(tmpTemperature, 1, 0)
		b.write(tmpConfig, 0x60, byte(bits)<<6)
		b.wait(30 * time.Second) // settled, somewhere in a period
		seen, got, last := 0, [2]byte{}, [2]byte{}
		for n := 0; n < 400; n++ {
			b.celsius(float64(n) / 4)
			b.wait(10 * time.Millisecond)
			if err := b.tx(b.now, []byte{tmpTemperature}, got[:]); err != nil {
				t.Fatal(err)
			}
			if got != last {
				seen, last = seen+1, got
			}
		}
		if want := int(4 * time.Second / period); seen < want || seen > want+1 {
			t.Errorf("CR=%02b: %d conversions in 4 s, want %d", bits, seen, want)
		}
	}
}

func TestTheAlertBitFollowsLimitsFaultQueueAndPolarity(t *testing.T) {
	b := tmpBench(t, 85)
	b.write(tmpConfig, 0x68, 0xa0) // F = 01: two consecutive faults
	b.wait(tmpTypical)
	b.expect(tmpConfig, 0x68, 0xa0)
	b.wait(250 * time.Millisecond)
	b.expect(tmpConfig, 0x68, 0x80) // alert: AL reads 0
	b.write(tmpConfig, 0x6c)        // POL inverts what is read
	b.expect(tmpConfig, 0x6c, 0xa0)
	b.write(tmpConfig, 0x68)
	b.celsius(76) // between the limits: it stays
	b.wait(time.Second)
	b.expect(tmpConfig, 0x68, 0x80)
	b.celsius(74.9)
	b.wait(time.Second)
	b.expect(tmpConfig, 0x68, 0xa0)
	b.write(tmpLow, 0x10, 0x0f) // the unused bits do not exist
	b.expect(tmpLow, 0x10, 0x00)
	b.write(tmpHigh, 0x4a, 0xff, 0x77)
	b.expect(tmpHigh, 0x4a, 0xf0)
	b.wait(time.Second)
	b.expect(tmpConfig, 0x68, 0xa0)
	b.celsius(74.9375) // exactly the limit: "equals or exceeds"
	b.wait(time.Second)
	b.expect(tmpConfig, 0x68, 0x80)
}

func TestThePointerIsKeptAndItsUnusedBitsIgnored(t *testing.T) {
	b := tmpBench(t, 25)
	b.write(0xfd) // P1 P0 = 01
	got := make([]byte, 3)
	for range 2 {
		if err := b.tx(b.now, nil, got); err != nil || !bytes.Equal(got, []byte{0x60, 0xa0, 0xff}) {
			t.Errorf("% x, %v", got, err)
		}
	}
	b.write(tmpTemperature, 0x12, 0x34) // read only
	b.expect(tmpTemperature, 0x00, 0x00)
	b.write(tmpConfig, 0x00, 0xaf) // R1 and R0 stay 1, D3 to D0 stay 0
	b.expect(tmpConfig, 0x60, 0xa0)
}

func TestALongIdleTimeIsCaughtUpQuickly(t *testing.T) {
	b := tmpBench(t, 20)
	begin := time.Now()
	b.wait(10 * 365 * 24 * time.Hour)
	b.expect(tmpTemperature, 0x14, 0x00)
	if d := time.Since(begin); d > time.Second {
		t.Errorf("ten years took %v", d)
	}
}
