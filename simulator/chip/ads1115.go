package chip

import (
	"encoding/binary"
	"math"
	"sync"
	"time"
)

// Inputs returns the voltages against ground at the pins AIN0 to AIN3 at a
// moment, in volts. Like a Probe it must be pure.
type Inputs func(at time.Time) [4]float64

// ADS1115 is Texas Instruments' 16-bit converter of four inputs, from its
// datasheet SBAS444; sections are cited by title. It has single-shot and
// continuous conversions, the multiplexer, the six ranges and the eight rates.
// The comparator's registers can be written and read, but its pin ALERT/RDY,
// the only place where its state shows, is not here; nor is the general call.
type ADS1115 struct {
	inputs Inputs
	timing Timing

	mu         sync.Mutex
	pointer    byte   // "Address Pointer Register": bits P1 and P0
	config     uint16 // as last written, without OS
	low, high  uint16
	conversion uint16 // result of the last conversion
	converting bool
	running    uint16    // configuration of the running conversion
	due        time.Time // its end
}

// Pointer values ("Address Pointer Register").
const (
	adsConversion = iota
	adsConfig
	adsLow
	adsHigh
)

// Bits and reset values of the registers ("Config Register", "Lo_thresh and
// Hi_thresh Registers").
const (
	adsOS      = 1 << 15
	adsMode    = 1 << 8 // 1: single-shot or power-down
	adsPowerOn = 0x8583
	adsLowOn   = 0x8000
	adsHighOn  = 0x7fff
)

// adsWakeUp is the time from power-down to the start of a conversion
// ("Single-Shot Mode").
const adsWakeUp = 25 * time.Microsecond

// NewADS1115 returns an ADS1115 that was powered on just now: it is powered
// down and reads 0 until its first conversion is done.
func NewADS1115(inputs Inputs, timing Timing) *ADS1115 {
	return &ADS1115{inputs: inputs, timing: timing, config: adsPowerOn &^ adsOS, low: adsLowOn, high: adsHighOn}
}

// Tx implements Chip. The pointer keeps its value between transactions ("Writing
// To and Reading From the Registers"); bytes beyond a register read as FF, and a
// register is written when both of its bytes have come.
func (c *ADS1115) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tx(time.Now(), w, r)
	return nil
}

func (c *ADS1115) tx(now time.Time, w, r []byte) {
	c.advance(now)
	if len(w) > 0 {
		c.pointer = w[0] & 3
	}
	if len(w) > 2 {
		c.write(now, binary.BigEndian.Uint16(w[1:3]))
	}
	if len(r) == 0 {
		return
	}
	var reg [2]byte
	binary.BigEndian.PutUint16(reg[:], c.read())
	released(r)
	copy(r, reg[:])
}

func (c *ADS1115) read() uint16 {
	switch c.pointer {
	case adsConfig:
		if c.converting {
			return c.config
		}
		return c.config | adsOS
	case adsLow:
		return c.low
	case adsHigh:
		return c.high
	}
	return c.conversion
}

func (c *ADS1115) write(now time.Time, v uint16) {
	switch c.pointer {
	case adsConfig:
		c.config = v &^ adsOS
		// A running conversion is finished as it began ("Continuous-Conversion
		// Mode"), and OS has no effect on it.
		if !c.converting && (v&adsOS != 0 || v&adsMode == 0) {
			c.begin(now.Add(adsWakeUp))
		}
	case adsLow:
		c.low = v
	case adsHigh:
		c.high = v
	}
}

// begin starts a conversion of the written configuration.
func (c *ADS1115) begin(at time.Time) {
	c.converting, c.running = true, c.config
	c.due = at.Add(c.period())
}

// period is the time of one conversion: the ADS1115 settles within one ("Output
// Data Rate and Conversion Time"), and its rate is 10 % off at most
// ("Electrical Characteristics", data rate variation).
func (c *ADS1115) period() time.Duration {
	rate := [8]float64{8, 16, 32, 64, 128, 250, 475, 860}[c.running>>5&7]
	if c.timing == Slowest {
		rate *= 0.9
	}
	return time.Duration(float64(time.Second) / rate)
}

// advance ends and begins the conversions that fall before now. Only the last
// result can be read, so those in between are passed over.
func (c *ADS1115) advance(now time.Time) {
	for c.converting && !now.Before(c.due) {
		c.conversion = c.convert(c.due)
		if c.config&adsMode != 0 {
			c.converting = false
			return
		}
		c.begin(c.due)
		if late := now.Sub(c.due); late > 0 {
			c.due = c.due.Add(late / c.period() * c.period())
		}
	}
}

// convert is the code of the selected inputs' difference ("Multiplexer",
// "Full-Scale Range (FSR) and LSB Size", "Data Format"): two's complement, the
// ends of the range beyond it.
func (c *ADS1115) convert(at time.Time) uint16 {
	volt := c.inputs(at)
	pair := [8][2]int{{0, 1}, {0, 3}, {1, 3}, {2, 3}, {0, -1}, {1, -1}, {2, -1}, {3, -1}}[c.running>>12&7]
	difference := volt[pair[0]]
	if pair[1] >= 0 {
		difference -= volt[pair[1]]
	}
	fullScale := [8]float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256}[c.running>>9&7]
	code := math.Round(difference / fullScale * (1 << 15))
	return uint16(int16(min(max(code, math.MinInt16), math.MaxInt16)))
}
