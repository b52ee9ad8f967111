package chip

import (
	"time"

	"github.com/atrium-iot/atrium/simulator/world"
)

// What the data registers hold when a quantity is not measured, and before the
// first measurement (5.4.7 to 5.4.9).
const (
	skipped20 = 0x80000
	skipped16 = 0x8000
)

// The sensor's operating range (1.1 to 1.4); the converter clips beyond it.
const (
	bmeMinCelsius, bmeMaxCelsius = -40, 85
	bmeMinPascal, bmeMaxPascal   = 30000, 110000
)

// samples is the oversampling of a three-bit setting (tables 20, 23 and 24); 0
// skips the measurement, 101 and above are 16.
func samples(osrs byte) int64 {
	if osrs == 0 {
		return 0
	}
	return 1 << min(osrs-1, 4)
}

func (c *BME280) osrsT() byte  { return c.reg[bmeCtrlMeas] >> 5 }
func (c *BME280) osrsP() byte  { return c.reg[bmeCtrlMeas] >> 2 & 7 }
func (c *BME280) filter() byte { return c.reg[bmeConfig] >> 2 & 7 }

// measurementTime is the formula of 9.1, in microseconds: a fixed part, a time
// for each sample, and one for switching to pressure and to humidity.
func (c *BME280) measurementTime() time.Duration {
	base, sample, step := int64(1000), int64(2000), int64(500)
	if c.timing == Slowest {
		base, sample, step = 1250, 2300, 575
	}
	us := base + sample*samples(c.osrsT())
	for _, osrs := range []byte{c.osrsP(), c.humidityOn} {
		if osrs != 0 {
			us += sample*samples(osrs) + step
		}
	}
	return time.Duration(us) * time.Microsecond
}

// standby is t_sb of the config register (table 27).
func (c *BME280) standby() time.Duration {
	us := [8]int64{500, 62500, 125000, 250000, 500000, 1000000, 10000, 20000}[c.reg[bmeConfig]>>5]
	return time.Duration(us) * time.Microsecond
}

// convert measures what is switched on and fills the data registers.
func (c *BME280) convert(air world.Climate) {
	celsius := min(max(air.Celsius, bmeMinCelsius), bmeMaxCelsius)
	t := c.cal.rawTemperature(celsius)
	_, fine := c.cal.temperature(t) // the die's temperature acts whether it is measured or not
	rawT, rawP, rawH := int64(skipped20), int64(skipped20), int64(skipped16)
	if osrs := c.osrsT(); osrs != 0 {
		rawT = c.resolve(&c.filterT, t, osrs)
	}
	if osrs := c.osrsP(); osrs != 0 {
		pascal := min(max(air.Pascal, bmeMinPascal), bmeMaxPascal)
		rawP = c.resolve(&c.filterP, c.cal.rawPressure(pascal, fine), osrs)
	}
	if c.humidityOn != 0 {
		rawH = c.cal.rawHumidity(min(max(air.Humidity, 0), 100), fine)
	}
	c.setData(rawP, rawT, rawH)
}

// resolve limits a 20-bit value to its resolution: 16 bits and one more for
// each doubling of the samples without the filter, 20 bits with it (3.4.2, 3.4.3).
func (c *BME280) resolve(f *iir, adc int64, osrs byte) int64 {
	if k := coefficient(c.filter()); k > 1 {
		return f.step(adc, k)
	}
	lost := 4 - min(int(osrs)-1, 4)
	return adc >> lost << lost
}

// setData writes the data registers (5.4.7 to 5.4.9).
func (c *BME280) setData(p, t, h int64) {
	copy(c.reg[bmeData:], []byte{
		byte(p >> 12), byte(p >> 4), byte(p << 4),
		byte(t >> 12), byte(t >> 4), byte(t << 4),
		byte(h >> 8), byte(h),
	})
}

// iir is the filter's memory for one quantity (3.4.4). The first value after a
// reset of the filter passes through; a skipped measurement leaves it alone.
type iir struct {
	primed bool
	value  int64
}

func (f *iir) step(adc, k int64) int64 {
	if f.primed {
		adc = (f.value*(k-1) + adc) / k
	}
	f.primed, f.value = true, adc
	return adc
}

// coefficient of the filter setting (table 28).
func coefficient(filter byte) int64 { return 1 << min(filter, 4) }
