package board

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/fault"
)

// The four inputs are what the README says is wired to them.
func TestAnADS1115MeasuresItsRoomsLightAndKnob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := ParseConfig("b", []byte(`
seed: 3
rooms: {lobby: {}}
buses: [{name: b, chips: [{type: ads1115, address: 0x48, room: lobby}, {type: sht31, address: 0x44, room: lobby}]}]
`))
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(c, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		bus := b.Buses()["b"]
		measure := func(in byte) float64 {
			t.Helper()
			var r [2]byte
			if err := bus.Tx(0x48, []byte{1, 0xc3 + in<<4, 0x83}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(8 * time.Millisecond)
			if err := bus.Tx(0x48, []byte{0}, r[:]); err != nil {
				t.Fatal(err)
			}
			return float64(int16(uint16(r[0])<<8|uint16(r[1]))) * 4.096 / 32768
		}
		near := func(in byte, want float64) {
			t.Helper()
			if got := measure(in); math.Abs(got-want) > 0.001 {
				t.Errorf("AIN%d is %v V, want %v", in, got, want)
			}
		}
		near(0, 0) // the bubble begins at midnight
		near(2, 1.65)
		near(3, 0)
		knob := measure(1)
		if knob <= 0 || knob > 3.3 {
			t.Errorf("the potentiometer gives %v V", knob)
		}
		time.Sleep(12 * time.Hour)
		if day := measure(0); day < 0.6 || day > 2.65 { // 200 to 800 lux
			t.Errorf("the light at noon gives %v V", day)
		}
		if turned := measure(1); turned == knob {
			t.Errorf("nobody turned the knob in 12 hours: %v V", turned)
		}
	})
}

// I1 is checked against a counter's numbers: no fault may make one repeat.
func TestACounterThatWasUnpluggedCountsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := parsed(t)
		faults := fault.New(c.Targets(), c.Seed, nil)
		if err := faults.Plan("f", []byte("faults: [{at: 1s, for: 1s, bus: sim-i2c-1, address: 0x20, kind: unplugged}]")); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"crc", "stuck"} {
			if err := faults.Plan("f", []byte("faults: [{bus: sim-i2c-1, address: 0x20, kind: "+kind+"}]")); err == nil {
				t.Errorf("a counter takes %s", kind)
			}
		}
		b, err := New(c, nil, faults)
		if err != nil {
			t.Fatal(err)
		}
		bus := b.Buses()["sim-i2c-1"]
		next := func() (n [4]byte, err error) {
			if err := bus.Tx(0x20, []byte{chip.CounterStart}, nil); err != nil {
				return n, err
			}
			time.Sleep(chip.CounterConversion)
			return n, bus.Tx(0x20, []byte{chip.CounterNumber}, n[:])
		}
		if n, err := next(); err != nil || n != [4]byte{3: 1} {
			t.Errorf("% x, %v", n, err)
		}
		time.Sleep(time.Second)
		if n, err := next(); err == nil {
			t.Errorf("an absent counter said % x", n)
		}
		time.Sleep(time.Second)
		if n, err := next(); err != nil || n != [4]byte{3: 2} {
			t.Errorf("% x, %v, want 2", n, err)
		}
	})
}
