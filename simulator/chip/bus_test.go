package chip_test

import (
	"bytes"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"github.com/atrium-iot/atrium/simulator/chip"
)

func newBus(t *testing.T, chips map[uint16]chip.Chip) *chip.Bus {
	t.Helper()
	b, err := chip.NewBus("sim-i2c-1", chips)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The texts are those that periph's sysfs bus gives on a Raspberry Pi, byte for
// byte: hal classifies errors by them.
func TestErrorsHaveTheWordsOfALinuxAdapter(t *testing.T) {
	b := newBus(t, map[uint16]chip.Chip{0x20: chip.NewCounter(0)})
	want := func(text string, err error) {
		t.Helper()
		if err == nil || err.Error() != text {
			t.Errorf("got %v, want %q", err, text)
		}
	}
	want("sysfs-i2c: remote I/O error", b.Tx(0x21, []byte{0}, nil))
	want("sysfs-i2c: invalid address", b.Tx(0x80, []byte{0}, nil))
	want("sysfs-i2c: invalid argument", b.Tx(0x20, make([]byte, 8193), nil))
	want("sysfs-i2c: not supported", b.SetSpeed(physic.MegaHertz))
	if err := b.Tx(0x21, nil, nil); err != nil {
		t.Errorf("an empty transaction reached the bus: %v", err)
	}
	if _, err := chip.NewBus("b", map[uint16]chip.Chip{0x80: nil}); err == nil {
		t.Error("a chip at an eight-bit address was accepted")
	}
}

func TestACounterNumbersItsConversions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, map[uint16]chip.Chip{0x20: chip.NewCounter(0)})
		expect := func(reg byte, want ...byte) {
			t.Helper()
			got := make([]byte, len(want))
			if err := b.Tx(0x20, []byte{reg}, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("register %02x reads % x (%v), want % x", reg, got, err, want)
			}
		}
		start := func() {
			t.Helper()
			if err := b.Tx(0x20, []byte{chip.CounterStart}, nil); err != nil {
				t.Fatal(err)
			}
		}
		expect(chip.CounterStatus, 0)
		expect(chip.CounterNumber, 0, 0, 0, 0)
		start()
		expect(chip.CounterStatus, 0x80)
		time.Sleep(chip.CounterConversion - time.Nanosecond)
		start() // while busy: no second conversion, and no later end
		expect(chip.CounterStatus, 0x80)
		expect(chip.CounterNumber, 0, 0, 0, 0)
		time.Sleep(time.Nanosecond)
		expect(chip.CounterStatus, 0)
		expect(chip.CounterNumber, 0, 0, 0, 1)
		expect(chip.CounterNumber, 0, 0, 0, 1)
		expect(chip.CounterNumber, 0, 0, 0, 1, 0xff)
		expect(0x55, 0xff)
		start()
		time.Sleep(time.Second)
		expect(chip.CounterNumber, 0, 0, 0, 2)
	})
}

func TestACounterContinuesAfterTheLastNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chip.NewCounter(0x01020304)
		if err := c.Tx([]byte{chip.CounterStart}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(chip.CounterConversion)
		var r [4]byte
		if err := c.Tx([]byte{chip.CounterNumber}, r[:]); err != nil || r != [4]byte{1, 2, 3, 5} {
			t.Errorf("% x, %v", r, err)
		}
	})
}

func TestABusIsSafeForManyHosts(t *testing.T) {
	b := newBus(t, map[uint16]chip.Chip{
		0x20: chip.NewCounter(0),
		0x48: chip.NewTMP102(lobby, chip.Typical),
		0x76: chip.NewBME280(lobby, chip.TypicalCalibration(), chip.Typical),
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var r [8]byte
			for i := range 300 {
				_ = b.Tx(0x20, []byte{byte(i % 3)}, r[:4])
				_ = b.Tx(0x48, []byte{1, byte(i), byte(i)}, r[:2])
				_ = b.Tx(0x76, []byte{0xf4, byte(i), 0xf7}, r[:])
			}
		})
	}
	wg.Wait()
}
