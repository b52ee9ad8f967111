package chip

import (
	"encoding/binary"
	"math/rand/v2"
	"sort"
)

// Calibration is the trimming of one BME280 (BST-BME280-DS002, 4.2.2, table 16).
type Calibration struct {
	T1                             uint16
	T2, T3                         int16
	P1                             uint16
	P2, P3, P4, P5, P6, P7, P8, P9 int16
	H1                             uint8
	H2                             int16
	H3                             uint8
	H4, H5                         int16 // 12 bits, signed
	H6                             int8
}

// TypicalCalibration is a plausible part: temperature and pressure are those of
// Bosch's worked example (BST-BMP280-DS001, 3.12), which shares the formulas.
func TypicalCalibration() Calibration {
	return Calibration{
		T1: 27504, T2: 26435, T3: -1000,
		P1: 36477, P2: -10685, P3: 3024, P4: 2855, P5: 140, P6: -7, P7: 15500, P8: -14600, P9: 6000,
		H1: 75, H2: 361, H3: 0, H4: 324, H5: 50, H6: 30,
	}
}

// CalibrationOf is the part of a seed: within one percent of the typical one,
// so that a driver that ignores the trimming is wrong on most parts.
func CalibrationOf(seed uint64) Calibration {
	rng := rand.New(rand.NewPCG(seed, 0xb3e280))
	c := TypicalCalibration()
	c.T1 += uint16(rng.IntN(551)) - 275
	c.T2 += int16(rng.IntN(529)) - 264
	c.P1 += uint16(rng.IntN(729)) - 364
	c.P2 += int16(rng.IntN(213)) - 106
	c.P3 += int16(rng.IntN(61)) - 30
	c.H2 += int16(rng.IntN(7)) - 3
	c.H4 += int16(rng.IntN(7)) - 3
	c.H5 += int16(rng.IntN(3)) - 1
	return c
}

// store writes the trimming to its places in the register map (4.2.2, table
// 16): 88..A1 and E1..E7, words little-endian, H4 and H5 sharing E5.
func (c *Calibration) store(reg *[256]byte) {
	le := binary.LittleEndian
	words := []uint16{
		c.T1, uint16(c.T2), uint16(c.T3),
		c.P1, uint16(c.P2), uint16(c.P3), uint16(c.P4), uint16(c.P5), uint16(c.P6), uint16(c.P7), uint16(c.P8), uint16(c.P9),
	}
	for i, w := range words {
		le.PutUint16(reg[0x88+2*i:], w)
	}
	reg[0xa1] = c.H1
	le.PutUint16(reg[0xe1:], uint16(c.H2))
	reg[0xe3] = c.H3
	reg[0xe4] = byte(c.H4 >> 4)
	reg[0xe5] = byte(c.H4&0x0f) | byte(c.H5&0x0f)<<4
	reg[0xe6] = byte(c.H5 >> 4)
	reg[0xe7] = byte(c.H6)
}

// The integer compensation of 4.2.3. Bosch writes T and H with 32 bits; 64 give
// the same values where those do not overflow, which is the chip's range, and
// stay monotonic beyond it, which the inversion needs.

// temperature returns hundredths of a degree and t_fine.
func (c *Calibration) temperature(adc int64) (centi, fine int64) {
	v1 := ((adc>>3 - int64(c.T1)<<1) * int64(c.T2)) >> 11
	d := adc>>4 - int64(c.T1)
	v2 := ((d * d >> 12) * int64(c.T3)) >> 14
	fine = v1 + v2
	return (fine*5 + 128) >> 8, fine
}

// pressure returns pascals in Q24.8.
func (c *Calibration) pressure(adc, fine int64) int64 {
	v1 := fine - 128000
	v2 := v1 * v1 * int64(c.P6)
	v2 += (v1 * int64(c.P5)) << 17
	v2 += int64(c.P4) << 35
	v1 = (v1*v1*int64(c.P3))>>8 + (v1*int64(c.P2))<<12
	v1 = (1<<47 + v1) * int64(c.P1) >> 33
	if v1 == 0 {
		return 0
	}
	p := 1048576 - adc
	p = ((p<<31 - v2) * 3125) / v1
	v1 = (int64(c.P9) * (p >> 13) * (p >> 13)) >> 25
	v2 = (int64(c.P8) * p) >> 19
	return (p+v1+v2)>>8 + int64(c.P7)<<4
}

// humidity returns percent in Q22.10, before Bosch's clipping to 0..100, which
// has no inverse.
func (c *Calibration) humidity(adc, fine int64) int64 {
	v := fine - 76800
	x := (adc<<14 - int64(c.H4)<<20 - int64(c.H5)*v + 16384) >> 15
	y := (((v*int64(c.H6))>>10)*(((v*int64(c.H3))>>11)+32768))>>10 + 2097152
	v = x * ((y*int64(c.H2) + 8192) >> 14)
	return (v - ((((v>>15)*(v>>15))>>7)*int64(c.H1))>>4) >> 12
}

// The inversions: the smallest converter value whose compensated value reaches
// the wanted one, by bisection, because the formulas have no closed inverse.

const (
	adc20 = 1 << 20 // pressure and temperature
	adc16 = 1 << 16 // humidity
)

// rawTemperature looks for t_fine, which has 5120 steps a degree.
func (c *Calibration) rawTemperature(celsius float64) int64 {
	return int64(sort.Search(adc20-1, func(adc int) bool {
		_, fine := c.temperature(int64(adc))
		return float64(fine) >= celsius*5120
	}))
}

// rawPressure: the compensated pressure falls as the converter's value rises.
func (c *Calibration) rawPressure(pascal float64, fine int64) int64 {
	return int64(sort.Search(adc20-1, func(adc int) bool {
		return float64(c.pressure(int64(adc), fine)) <= pascal*256
	}))
}

func (c *Calibration) rawHumidity(percent float64, fine int64) int64 {
	return int64(sort.Search(adc16-1, func(adc int) bool {
		return float64(c.humidity(int64(adc), fine)) >= percent*1024
	}))
}
