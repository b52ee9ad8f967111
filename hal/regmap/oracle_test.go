package regmap

import (
	"encoding/binary"
	"math"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c/i2ctest"
	"pgregory.net/rapid"
	tinybme "tinygo.org/x/drivers/bme280"
	tinysht "tinygo.org/x/drivers/sht3x"
	tinytmp "tinygo.org/x/drivers/tmp102"

	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// registers is a device of byte registers whose address advances by itself:
// all that the drivers under comparison need.
type registers struct {
	i2ctest.Record
	m [256]byte
	p byte
}

func (d *registers) Tx(_ uint16, w, r []byte) error {
	for i, b := range w {
		if i == 0 {
			d.p = b
		} else {
			d.m[d.p] = b
			d.p++
		}
	}
	for i := range r {
		r[i] = d.m[d.p]
		d.p++
	}
	return nil
}

// fakeBME280 holds the calibration and raw values of the BMP280 datasheet's
// example (BST-BMP280-DS001, 3.12), and a humidity calibration beside it.
func fakeBME280() *registers {
	d := &registers{}
	put := func(at int, v int) { binary.LittleEndian.PutUint16(d.m[at:], uint16(v)) }
	for i, v := range []int{27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000} {
		put(0x88+2*i, v)
	}
	d.m[0xa1] = 75
	put(0xe1, 362)
	h4, h5 := 313, 50
	d.m[0xe4], d.m[0xe5], d.m[0xe6], d.m[0xe7] = byte(h4>>4), byte(h4&15|h5&15<<4), byte(h5>>4), 30
	d.set(415148, 519888, 29000)
	return d
}

func (d *registers) set(p, t, h int) {
	copy(d.m[0xf7:], []byte{byte(p >> 12), byte(p >> 4), byte(p << 4), byte(t >> 12), byte(t >> 4), byte(t << 4), byte(h >> 8), byte(h)})
}

func TestBME280GivesTheDatasheetsExample(t *testing.T) {
	d := New(load(t, "bosch.bme280"), 0x76)
	var s profile.Sample
	if _, err := drive(fakeBME280(), d.Read(&s)); err != nil {
		t.Fatal(err)
	}
	// 25.08 degC and 100653.27 Pa, at resolutions of 0.01 degC and 1 Pa.
	if s.V[0] != 2508 || s.V[1] != 100653 || s.Q != 0 {
		t.Fatalf("got %+v, want 2508 and 100653", s)
	}
}

func TestBME280AgreesWithAnIndependentDriver(t *testing.T) {
	p := load(t, "bosch.bme280")
	rapid.Check(t, func(rt *rapid.T) {
		b := fakeBME280()
		b.set(rapid.IntRange(250000, 600000).Draw(rt, "p"), rapid.IntRange(400000, 620000).Draw(rt, "t"), rapid.IntRange(20000, 32000).Draw(rt, "h"))
		d := New(p, 0x76)
		var s profile.Sample
		if _, err := drive(b, d.Read(&s)); err != nil {
			rt.Fatal(err)
		}
		oracle := tinybme.New(b)
		oracle.Configure()
		temperature, err1 := oracle.ReadTemperature()
		pressure, err2 := oracle.ReadPressure()
		humidity, err3 := oracle.ReadHumidity()
		if err1 != nil || err2 != nil || err3 != nil {
			rt.Fatal(err1, err2, err3)
		}
		near := func(point int, want, tolerance float64) {
			got := p.Body().Columns[point].Float(s.V[point])
			if wire.QualityOf(s.Q, point) == wire.Good && math.Abs(got-want) > tolerance {
				rt.Errorf("%s = %v, want %v", p.Points[point].Name, got, want)
			}
		}
		// The oracle computes in 32-bit integers and cuts to 0.01 degC; its
		// pressure's last digit and its humidity's, in float32, differ.
		near(0, float64(temperature)/1000, 0.021)
		near(1, float64(pressure)/1000, 6)
		if h := float64(humidity) / 100; h > 0 && h < 100 { // the oracle does not clamp
			near(2, h, 0.05)
		}
	})
}

func TestTMP102AgreesWithAnIndependentDriver(t *testing.T) {
	p := load(t, "ti.tmp102")
	b := &registers{}
	for word := -55 * 16; word <= 127*16; word++ {
		binary.BigEndian.PutUint16(b.m[:], uint16(word<<4))
		d := New(p, 0x48)
		var s profile.Sample
		if _, err := drive(b, d.Read(&s)); err != nil {
			t.Fatal(err)
		}
		oracle := tinytmp.New(b)
		oracle.Configure(tinytmp.Config{})
		b.p = 0
		want, err := oracle.ReadTemperature()
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Body().Columns[0].Float(s.V[0]); math.Abs(got*1000-float64(want)) > 1 || s.V[0] != int64(word) {
			t.Fatalf("register %#04x: %v degC, want %v", uint16(word<<4), got, float64(want)/1000)
		}
	}
}

// words answers every read with two words and their CRCs.
type words struct {
	i2ctest.Record
	temperature, humidity uint16
}

func (d *words) Tx(_ uint16, _, r []byte) error {
	var answer []byte
	for _, w := range []uint16{d.temperature, d.humidity} {
		b := binary.BigEndian.AppendUint16(nil, w)
		answer = append(append(answer, b...), crc8(b, profile.CRC{Poly: 0x31, Init: 0xff}))
	}
	copy(r, answer)
	return nil
}

func TestSHT31AgreesWithAnIndependentDriver(t *testing.T) {
	p := load(t, "sensirion.sht31")
	synctest.Test(t, func(t *testing.T) { // the oracle sleeps
		// From 61357 the oracle's 32 bits overflow.
		for word := 0; word <= 61356; word += 36 {
			b := &words{temperature: uint16(word), humidity: uint16(65535 - word)}
			d := New(p, 0x44)
			var s profile.Sample
			if _, err := drive(b, d.Read(&s)); err != nil {
				t.Fatal(err)
			}
			oracle := tinysht.New(b)
			milli, centi, err := oracle.ReadTemperatureHumidity()
			if err != nil {
				t.Fatal(err)
			}
			// The oracle cuts where the profile rounds.
			if off := s.V[0]*10 - int64(milli); off < -6 || off > 6 {
				t.Fatalf("word %d: %d hundredths of a degree, want %d thousandths", word, s.V[0], milli)
			}
			if off := s.V[1] - int64(centi); off < 0 || off > 1 {
				t.Fatalf("word %d: humidity %d, want %d", 65535-word, s.V[1], centi)
			}
		}
	})
}

// converter is an ADS1115 that has always finished: only its registers.
type converter struct {
	i2ctest.Record
	config []byte
	code   uint16
}

func (d *converter) Tx(_ uint16, w, r []byte) error {
	switch {
	case len(w) == 3:
		d.config = []byte{w[1] | 0x80, w[2]}
	case w[0] == 1:
		copy(r, d.config)
	default:
		binary.BigEndian.PutUint16(r, d.code)
	}
	return nil
}

func TestAnADS1115sCodeIsItsVoltageAndAClippedOneIsOutOfRange(t *testing.T) {
	// SBAS444: a step is 4.096 V / 2^15, and the ends of the scale are where
	// the code clips. Single-ended, an input survives 0.3 V below ground.
	for id, low := range map[string]float64{"ti.ads1115": -0.3, "ti.ads1115-diff": -4.09599} {
		p := load(t, id)
		b := &converter{}
		d := New(p, 0x48)
		var s profile.Sample
		for code := math.MinInt16; code <= math.MaxInt16; code += 15 { // both ends are reached
			b.code = uint16(code)
			if _, err := drive(b, d.Read(&s)); err != nil {
				t.Fatal(err)
			}
			volts := float64(code) * 4.096 / 32768
			for i, c := range p.Body().Columns {
				got, clipped := wire.QualityOf(s.Q, i), volts < low || code == math.MaxInt16
				if s.V[i] != int64(code) || math.Abs(c.Float(s.V[i])-volts) > 1e-9 || (got != wire.Good) != clipped || got == wire.Bad {
					t.Fatalf("%s: code %d reads as %v V (%v), want %v", c.Point, code, c.Float(s.V[i]), got, volts)
				}
			}
		}
	}
}
