package profile

import "time"

// Program is a list of steps on the bus and the size of the memory that they
// read into. A Tx reads into its own part of that memory.
type Program struct {
	Steps   []Step
	Scratch int // bytes
}

// Op is what a step does.
type Op uint8

// The steps.
const (
	OpTx    Op = iota + 1 // write W, then read into Scratch[At : At+N]
	OpDelay               // wait for Wait
	OpPoll                // write W and read one byte until byte & Mask == Want, every Wait, at most Tries times
	OpCRC                 // check the CRC-8 behind each Word of Scratch[At : At+N], then close the gaps
)

func (o Op) String() string {
	switch o {
	case OpTx:
		return "tx"
	case OpDelay:
		return "delay"
	case OpPoll:
		return "poll"
	case OpCRC:
		return "crc"
	}
	return "unknown"
}

// Step is one step; which fields count depends on Op.
type Step struct {
	Op         Op
	W          []byte // never changes
	At, N      int
	Wait       time.Duration
	Tries      int
	Mask, Want byte
	CRC        CRC
}

// CRC describes a CRC-8, most significant bit first, not reflected.
type CRC struct {
	Poly, Init, Xor byte
	Word            int // bytes before each CRC byte
}

// cut says how a number is cut out of the scratch memory and where it goes.
type cut struct {
	slot   int
	at     int  // of the type's first byte
	size   int  // bytes of the type; 0 for parts
	little bool // least significant byte first
	parts  []part
	sign   uint // extend from this many bits; 0 for unsigned
	shift  uint
	mask   uint64 // 0 for all
}

// part is bits msb to lsb of a byte.
type part struct {
	at       int
	msb, lsb uint
}

// value reads the number. Parse checked that scratch is long enough.
func (c *cut) value(scratch []byte) float64 {
	var u uint64
	for i := range c.size {
		if c.little {
			u |= uint64(scratch[c.at+i]) << (8 * i)
		} else {
			u = u<<8 | uint64(scratch[c.at+i])
		}
	}
	for _, p := range c.parts {
		n := p.msb - p.lsb + 1
		u = u<<n | uint64(scratch[p.at]>>p.lsb)&(1<<n-1)
	}
	if c.sign == 0 {
		u >>= c.shift
		if c.mask != 0 {
			u &= c.mask
		}
		return float64(u)
	}
	up := 64 - c.sign
	return float64(int64(u<<up) >> up >> c.shift)
}
