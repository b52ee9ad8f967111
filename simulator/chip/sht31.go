package chip

import (
	"math"
	"sync"
	"time"
)

// SHT31 is Sensirion's humidity and temperature sensor, from its datasheet
// SHT3x-DIS; numbers in comments are its sections. It has single shots of three
// repeatabilities with and without clock stretching, the status register, the
// heater, the break command and the soft reset. Every byte pair has its
// checksum. Not here: the periodic mode, the alert limits and the ART; the chip
// does not acknowledge their commands. Neither are the serial number, which the
// datasheet does not describe, nor the reset by pin and by general call.
//
// Where the datasheet asks the host to wait, a host that does not is not
// acknowledged.
type SHT31 struct {
	probe  Probe
	timing Timing

	mu        sync.Mutex
	awake     time.Time // until then no command is taken
	status    uint16
	measuring bool
	stretch   bool      // a read during the measurement holds the clock
	due       time.Time // end of the measurement
	reply     []byte    // what the next read returns; empty is not acknowledged
	buf       [6]byte   // backs reply
}

// shtCommand is two bytes, most significant first (4.3 to 4.11).
type shtCommand = uint16

const (
	shtReset       shtCommand = 0x30a2
	shtBreak       shtCommand = 0x3093
	shtHeaterOn    shtCommand = 0x306d
	shtHeaterOff   shtCommand = 0x3066
	shtStatus      shtCommand = 0xf32d
	shtClearStatus shtCommand = 0x3041
)

// Bits of the status register (4.11).
const (
	shtAlertPending  = 1 << 15
	shtHeater        = 1 << 13
	shtRHAlert       = 1 << 11
	shtTAlert        = 1 << 10
	shtResetDetected = 1 << 4
	shtCommandFailed = 1 << 1

	shtPowerOn   = shtAlertPending | shtResetDetected
	shtClearable = shtAlertPending | shtRHAlert | shtTAlert | shtResetDetected
)

const (
	// shtStartUp is the longest power-up and soft reset time (2.2, table 4).
	shtStartUp = time.Millisecond
	// shtGap is the least time between two commands (4.1), and what a break takes (4.8).
	shtGap = time.Millisecond
	// shtHeaterKelvin is the heater's effect, "in the range of a few degrees" (4.10).
	shtHeaterKelvin = 3
	// The range of the output (1.2); both words are clipped at its ends.
	shtMinCelsius, shtMaxCelsius = -40, 125
)

// shot is what a single shot's command asks for.
type shot struct {
	typical, slowest time.Duration // measurement duration (2.2, table 4)
	stretch          bool
}

// shotOf knows the commands of table 9.
func shotOf(c shtCommand) (s shot, ok bool) {
	switch c {
	case 0x2c06, 0x2400: // high
		s = shot{typical: 12500 * time.Microsecond, slowest: 15 * time.Millisecond}
	case 0x2c0d, 0x240b: // medium
		s = shot{typical: 4500 * time.Microsecond, slowest: 6 * time.Millisecond}
	case 0x2c10, 0x2416: // low
		s = shot{typical: 2500 * time.Microsecond, slowest: 4 * time.Millisecond}
	default:
		return shot{}, false
	}
	s.stretch = c>>8 == 0x2c
	return s, true
}

// NewSHT31 returns an SHT31 that was powered on just now.
func NewSHT31(probe Probe, timing Timing) *SHT31 { return newSHT31(probe, timing, time.Now()) }

func newSHT31(probe Probe, timing Timing, now time.Time) *SHT31 {
	c := &SHT31{probe: probe, timing: timing}
	c.reset(now)
	return c
}

// reset is the power-on reset, which the soft reset equals (4.9).
func (c *SHT31) reset(now time.Time) {
	c.status = shtPowerOn
	c.measuring, c.reply = false, nil
	c.awake = now.Add(shtStartUp)
}

// Tx implements Chip. A read that stretches the clock blocks until the
// measurement ends, at most 15 ms, and the bus with it.
func (c *SHT31) Tx(w, r []byte) error {
	wait, err := c.write(time.Now(), w, r)
	if err != nil || len(r) == 0 {
		return err
	}
	if wait > 0 {
		time.Sleep(wait)
	}
	return c.read(time.Now(), r)
}

// write takes the written part of a transaction and says how long its read
// would stretch the clock.
func (c *SHT31) write(now time.Time, w, r []byte) (wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(now)
	if len(w) > 0 {
		if err := c.command(now, w); err != nil {
			return 0, err
		}
	}
	if c.measuring && c.stretch && len(r) > 0 {
		return c.due.Sub(now), nil
	}
	return 0, nil
}

// command takes a command. A single byte is no command yet, and does nothing.
func (c *SHT31) command(now time.Time, w []byte) error {
	if now.Before(c.awake) || c.measuring && !c.isBreak(w) {
		return NACK
	}
	if len(w) == 1 {
		return nil
	}
	cmd := shtCommand(w[0])<<8 | shtCommand(w[1])
	c.awake = now.Add(shtGap)
	c.reply = nil // a result that nobody read is lost
	if len(w) > 2 || !c.execute(now, cmd) {
		c.status |= shtCommandFailed
		return NACK
	}
	if cmd != shtStatus { // which would hide what it is asked for
		c.status &^= shtCommandFailed
	}
	return nil
}

// isBreak tells the one command that is taken during a measurement (4.8).
func (c *SHT31) isBreak(w []byte) bool {
	return len(w) == 2 && shtCommand(w[0])<<8|shtCommand(w[1]) == shtBreak
}

// execute says whether the command is known.
func (c *SHT31) execute(now time.Time, cmd shtCommand) bool {
	switch cmd {
	case shtReset:
		c.reset(now)
	case shtBreak:
		c.measuring = false
	case shtHeaterOn:
		c.status |= shtHeater
	case shtHeaterOff:
		c.status &^= shtHeater
	case shtClearStatus:
		c.status &^= shtClearable
	case shtStatus:
		c.reply = appendWord(c.buf[:0], c.status)
	default:
		s, ok := shotOf(cmd)
		if !ok {
			return false
		}
		c.measuring, c.stretch = true, s.stretch
		c.due = now.Add(s.typical)
		if c.timing == Slowest {
			c.due = now.Add(s.slowest)
		}
	}
	return true
}

// advance ends the measurement if its time is over.
func (c *SHT31) advance(now time.Time) {
	if !c.measuring || now.Before(c.due) {
		return
	}
	c.measuring = false
	air := c.probe(c.due)
	if c.status&shtHeater != 0 {
		air = air.Warmed(shtHeaterKelvin)
	}
	celsius := min(max(air.Celsius, shtMinCelsius), shtMaxCelsius)
	humidity := min(max(air.Humidity, 0), 100)
	// 4.13, solved for the words.
	c.reply = appendWord(c.buf[:0], uint16(math.Round((celsius+45)/175*0xffff)))
	c.reply = appendWord(c.reply, uint16(math.Round(humidity/100*0xffff)))
}

// read answers once: the data memory is empty after it, however many bytes the
// host took (4.4), and bytes beyond it read as FF.
func (c *SHT31) read(now time.Time, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(now)
	if len(c.reply) == 0 {
		return NACK // of the read header: "no data present"
	}
	released(r)
	copy(r, c.reply)
	c.reply = nil
	return nil
}

// appendWord appends a word and its checksum (4.12).
func appendWord(dst []byte, v uint16) []byte {
	hi, lo := byte(v>>8), byte(v)
	return append(dst, hi, lo, shtChecksum(hi, lo))
}

// shtChecksum is CRC-8 with polynomial 31 and initial value FF (4.12, table 20).
func shtChecksum(word ...byte) byte {
	crc := byte(0xff)
	for _, b := range word {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
