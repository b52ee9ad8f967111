package chip

import (
	"encoding/binary"
	"math"
	"sync"
	"time"
)

// TMP102 is Texas Instruments' temperature sensor, from its datasheet SBOS397.
// Sections are cited by title, because their numbers differ between revisions.
// It converts continuously, in shutdown or one shot, in the 12-bit or extended
// 13-bit format, and keeps the alert bit with limits, polarity and fault queue.
// Not here: the ALERT pin, the SMBus alert response and the general call.
type TMP102 struct {
	probe      Probe
	conversion time.Duration

	mu          sync.Mutex
	pointer     byte      // "Pointer Register": bits P1 and P0
	config      uint16    // as last written, without OS and AL
	temperature uint16    // as read
	low, high   uint16    // as read
	converting  bool      // a conversion runs until due
	due         time.Time //
	next        time.Time // start of the next continuous conversion
	oneShotDone bool      // what OS reads
	faults      int       // consecutive conversions that ask for the other alert state
	alert       bool      // the comparator's state, before polarity
}

// Pointer values ("Pointer Register", table of pointer addresses).
const (
	tmpTemperature = iota
	tmpConfig
	tmpLow
	tmpHigh
)

// Bits of the configuration register ("Configuration Register").
const (
	tmpOS         = 1 << 15
	tmpResolution = 3 << 13 // R1 and R0, read only, always 1
	tmpPOL        = 1 << 10
	tmpSD         = 1 << 8
	tmpRate       = 3 << 6 // CR1 and CR0
	tmpAL         = 1 << 5 // read only
	tmpEM         = 1 << 4

	tmpWritable = 0x1fd0                // F1 F0 POL TM SD, CR1 CR0, EM
	tmpPowerOn  = 0x60a0                // with AL = 1: no alert, POL = 0
	tmpLowOn    = 75 * 16 << 4          // +75 degrees ("High- and Low-Limit Registers")
	tmpHighOn   = 80 * 16 << 4          // +80 degrees
	tmpExtended = 1                     // D0 of the temperature's low byte tells the format
	tmpCatchUp  = 4096                  // conversions done late after an idle time, 17 minutes at 4 Hz; earlier ones are forgotten
	tmpTypical  = 26 * time.Millisecond // "Electrical Characteristics", conversion time
	tmpSlowest  = 35 * time.Millisecond
)

// NewTMP102 returns a TMP102 that was powered on just now: it converts four
// times a second and reads 0 degrees until its first conversion is done.
func NewTMP102(probe Probe, timing Timing) *TMP102 {
	d := tmpTypical
	if timing == Slowest {
		d = tmpSlowest
	}
	return newTMP102(probe, d, time.Now())
}

func newTMP102(probe Probe, conversion time.Duration, now time.Time) *TMP102 {
	return &TMP102{
		probe: probe, conversion: conversion,
		config: tmpPowerOn & tmpWritable, low: tmpLowOn, high: tmpHighOn,
		next: now, // "Continuous-Conversion Mode": a conversion starts at power-up
	}
}

// Tx implements Chip. The pointer keeps its value between transactions, so that
// a read without a write repeats the last register ("Writing and Reading
// Operation"); bytes beyond a register read as FF.
func (c *TMP102) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tx(time.Now(), w, r)
	return nil
}

func (c *TMP102) tx(now time.Time, w, r []byte) {
	c.advance(now)
	if len(w) > 0 {
		c.pointer = w[0] & 3
		for i, b := range w[1:min(len(w), 3)] {
			c.write(now, i, b)
		}
	}
	if len(r) == 0 {
		return
	}
	var reg [2]byte
	binary.BigEndian.PutUint16(reg[:], c.read())
	released(r)
	copy(r, reg[:])
}

func (c *TMP102) read() uint16 {
	switch c.pointer {
	case tmpConfig:
		v := c.config | tmpResolution
		if c.oneShotDone {
			v |= tmpOS
		}
		// "Alert (AL Bit)": POL inverts what is read; 1 means no alert at POL = 0.
		if c.alert == (c.config&tmpPOL != 0) {
			v |= tmpAL
		}
		return v
	case tmpLow:
		return c.low
	case tmpHigh:
		return c.high
	}
	return c.temperature
}

// write takes byte i of the register: "All registers are updated byte by byte".
func (c *TMP102) write(now time.Time, i int, b byte) {
	switch c.pointer {
	case tmpConfig:
		old := c.config
		c.config = setByte(old, i, b) & tmpWritable
		c.reconfigure(now, old, i == 0 && b&(tmpOS>>8) != 0)
	case tmpLow:
		c.low = setByte(c.low, i, b) & c.limitMask()
	case tmpHigh:
		c.high = setByte(c.high, i, b) & c.limitMask()
	}
}

// limitMask keeps the bits that the limit registers have in the present format.
func (c *TMP102) limitMask() uint16 {
	if c.config&tmpEM != 0 {
		return 0xfff8
	}
	return 0xfff0
}

func setByte(v uint16, i int, b byte) uint16 {
	if i == 0 {
		return uint16(b)<<8 | v&0xff
	}
	return v&0xff00 | uint16(b)
}

// reconfigure acts on a written configuration byte. A running conversion is
// always finished ("Shutdown Mode (SD)").
func (c *TMP102) reconfigure(now time.Time, old uint16, oneShot bool) {
	shutdown, was := c.config&tmpSD != 0, old&tmpSD != 0
	switch {
	case shutdown && oneShot && !c.converting:
		// "One-Shot/Conversion Ready (OS)": reads 0 during the conversion.
		c.begin(now)
	case !shutdown && was:
		c.oneShotDone = false
		if !c.converting {
			c.begin(now)
		}
	case !shutdown && old&tmpRate != c.config&tmpRate && !c.converting:
		c.begin(now) // the datasheet is silent; a new rate counts from its write
	}
}

func (c *TMP102) begin(at time.Time) {
	c.converting, c.oneShotDone = true, false
	c.due = at.Add(c.conversion)
	c.next = at.Add(c.period())
}

// period is the time between starts of conversions ("Conversion Rate (CR)").
func (c *TMP102) period() time.Duration {
	return [4]time.Duration{4 * time.Second, time.Second, 250 * time.Millisecond, 125 * time.Millisecond}[c.config&tmpRate>>6]
}

// advance ends and begins the conversions that fall before now.
func (c *TMP102) advance(now time.Time) {
	for {
		if c.converting {
			if now.Before(c.due) {
				return
			}
			c.finish(c.due)
			continue
		}
		if c.config&tmpSD != 0 || now.Before(c.next) {
			return
		}
		if late := now.Sub(c.next) / c.period(); late > tmpCatchUp {
			c.next = c.next.Add((late - tmpCatchUp) * c.period())
		}
		c.begin(c.next)
	}
}

func (c *TMP102) finish(at time.Time) {
	c.converting = false
	c.oneShotDone = c.config&tmpSD != 0
	sixteenths := math.RoundToEven(c.probe(at).Celsius * 16)
	extended := c.config&tmpEM != 0
	if extended { // "Extended Mode (EM)": 13 bits, to +150 degrees
		v := int16(min(max(sixteenths, -55*16), 150*16))
		c.temperature = uint16(v<<3) | tmpExtended
	} else { // "Temperature Register": 12 bits, clipped at 7FF
		v := int16(min(max(sixteenths, -55*16), 0x7ff))
		c.temperature = uint16(v << 4)
	}
	c.compare()
}

// compare moves the alert through the fault queue ("Fault Queue (F1/F0)",
// "Alert (AL Bit)"): it rises at T >= high and falls below low.
func (c *TMP102) compare() {
	t, low, high := int16(c.temperature&c.limitMask()), int16(c.low), int16(c.high)
	if c.alert && t >= low || !c.alert && t < high {
		c.faults = 0
		return
	}
	c.faults++
	if c.faults >= [4]int{1, 2, 4, 6}[c.config>>11&3] {
		c.alert, c.faults = !c.alert, 0
	}
}
