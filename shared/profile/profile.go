// Package profile is the declarative description of a device type: which
// transactions read it, how the bytes become values, and what the values mean.
// Parse compiles a YAML document into a Profile: byte programs for an I2C bus
// (run by hal/regmap) or lines and commands for a GPIO chip (hal/line), and
// expressions for the values. The package does no I/O and keeps no time.
//
// # The language
//
//	id: vendor.type              # lower-case letters, digits and hyphens
//	version: 1                   # from 1; higher when points or their meaning change
//	title: what it is            # optional
//	bus: {type: i2c, addr: [0x48, 0x49], max_hz: 400000}
//	tick: 1ms                    # the unit of sample times
//	every: 10s                   # how often to read when nobody says otherwise
//	calib:                       # once, before the first read and after a reset
//	  steps: [...]
//	  raw: {...}
//	init: [...]                  # steps, after calib; they read nothing
//	read: [...]                  # the steps of one reading
//	raw:                         # numbers cut out of what read's steps read
//	  t: {from: a, at: 0, type: u16be, shift: 4, mask: 0xfff, sign: 12}
//	  h: {from: b, parts: [[3, 7, 0], [4, 3, 0]], sign: 12}
//	let:                         # values in between, in order
//	  - {name: fine, expr: "t*2"}
//	points:                      # what a reading consists of, in order
//	  - {name: temperature, expr: "fine/16", unit: Cel, resolution: 0.0625, range: [-40, 125], deadband: 0.125}
//
// A step is one of
//
//	tx: {w: [0xf7], r: 8, as: b}   write, then read r bytes after a repeated start
//	delay: 9ms                     let the device work; the bus serves others meanwhile
//	poll: {w: [0xf3], mask: 0x08, eq: 0, every: 1ms, limit: 50ms}
//	                               read one byte until byte & mask == eq; of a
//	                               wider register it is the first
//	crc: {poly: 0x31, init: 0xff, xor: 0, word: 2}
//	                               check the CRC-8 behind each word of the last tx, and remove it
//
// A raw number is u8, s8, u16, s16, u24, s24, u32 or s32 with be or le behind
// all but the first two, or parts [byte, msb, lsb], the most significant
// first. sign extends from that many bits, shift then drops low bits, mask
// comes last. from may be left out when one step of its section reads.
//
// A device on GPIO lines has lines in place of calib, init and read, and raw
// numbers that are levels:
//
//	bus: {type: gpio}
//	lines:
//	  coil: {direction: out, safe: low}  # low (the default) or high
//	  door: {direction: in, pull: up}    # up, down or off (the default)
//	raw:
//	  on: {line: coil}                   # 0 or 1
//	commands:
//	  set:
//	    args: {on: {kind: boolean}}      # a number, the default, needs range: [0, 100]
//	    do:
//	      - {line: coil, level: "on"}    # in order; hold: 500ms waits before the next
//	    confirm: shadow                  # how the result is known; absent: not at all
//	    idempotent: true                 # twice is as good as once; absent: it is not
//
// An output is never read back, as that would release it: its raw number is
// the level last driven, its shadow. safe is driven when a device is first
// touched and when what it does is no longer known. A command's level is an
// expression over its arguments, where anything but 0 is high.
//
// Expressions are package expr's; 0/0 says that there is no value, which makes
// every point that depends on it bad. A point's kind is number (the default),
// boolean (anything but 0 is 1) or counter. The unit is a UCUM code as in
// SenML (RFC 8428); booleans and counters are "1" unless said.
package profile

import (
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile/expr"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Profile is a compiled device type. It never changes and is safe for several
// goroutines.
type Profile struct {
	ID      string
	Version int
	Title   string
	// Digest is the SHA-256 of the document's canonical CBOR: comments,
	// spelling and the order of keys do not matter.
	Digest [32]byte
	Bus    Bus
	Tick   time.Duration
	Every  time.Duration // between two readings, unless the gateway says otherwise
	Points []Point

	// Calibration, Init and Read are the programs for an I2C bus. On GPIO there
	// are no steps, and Read's scratch memory holds a byte, 0 or 1, for each of
	// Lines.
	Calibration, Init, Read Program

	Lines    []Line    // of a device on GPIO, sorted by name
	Commands []Command // sorted by name

	calibration, raw []cut // where the numbers of a program lie in what it read
	lets, values     []*expr.Program
	slots            int
}

// The types of buses.
const (
	BusI2C  = "i2c"
	BusGPIO = "gpio"
)

// Bus says where a device may be found.
type Bus struct {
	Type      string   // BusI2C or BusGPIO
	Addresses []uint16 // on I2C, 7 bits
	MaxHz     int      // the fastest clock, 0 if the document does not say
}

// Has says whether a device of this type can have the address.
func (b Bus) Has(addr uint16) bool { return slices.Contains(b.Addresses, addr) }

// Body returns the columns of the series that a device of this type makes.
func (p *Profile) Body() wire.Body {
	b := wire.Body{Profile: p.ID, Version: uint64(p.Version), Tick: uint64(p.Tick.Nanoseconds()), Columns: make([]wire.Column, len(p.Points))}
	for i, pt := range p.Points {
		b.Columns[i] = wire.Column{Point: pt.Name, Unit: pt.Unit, Kind: pt.Kind, Mantissa: pt.Mantissa, Exponent: pt.Exponent}
	}
	return b
}

// Point returns the index of a point, false if there is none of that name.
func (p *Profile) Point(name id.Point) (int, bool) {
	for i := range p.Points {
		if p.Points[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// Sample is one reading of all points of a device.
type Sample struct {
	// V has one integer for each point of the profile, in units of the point's
	// resolution. A point of bad quality keeps what V held before.
	V []int64
	// Q holds two bits for each point: wire.QualityOf.
	Q uint64
}

// Values holds what one device's numbers are computed from: its calibration
// and the last reading. It belongs to one goroutine.
type Values struct {
	p     *Profile
	slots []float64
}

// NewValues returns the values of a device before calibration.
func (p *Profile) NewValues() *Values { return &Values{p, make([]float64, p.slots)} }

// Calibrate takes what the Calibration program read.
func (v *Values) Calibrate(scratch []byte) {
	for i := range v.p.calibration {
		c := &v.p.calibration[i]
		v.slots[c.slot] = c.value(scratch)
	}
}

// Decode turns what the Read program read into one integer for each point, in
// units of its resolution, and returns their qualities as wire.WithQuality
// packs them. A point whose quality is bad keeps what row held. row has
// len(Points) items. Decode does not allocate.
func (v *Values) Decode(scratch []byte, row []int64) (q uint64) {
	for i := range v.p.raw {
		c := &v.p.raw[i]
		v.slots[c.slot] = c.value(scratch)
	}
	first := v.p.slots - len(v.p.lets)
	for i, let := range v.p.lets {
		v.slots[first+i] = let.Run(v.slots)
	}
	for i, value := range v.p.values {
		n, quality := v.p.Points[i].Quantise(value.Run(v.slots))
		if quality != wire.Bad {
			row[i] = n
		}
		q = wire.WithQuality(q, i, quality)
	}
	return q
}
