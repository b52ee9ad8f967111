package chip

import (
	"encoding/binary"
	"sync"
	"time"
)

// Counter is a chip made for verification: its value is the number of its
// conversion, so that a lost, doubled or swapped reading can be told from the
// values alone. No maker sells it; its datasheet is this comment.
//
//	write 00, read 1   status: bit 7 is 1 while a conversion runs
//	write 01           start a conversion; ignored while one runs
//	write 02, read 4   number of the last finished conversion, big-endian; 0 before the first
//
// A conversion takes CounterConversion. Numbers begin at 1, grow by one a
// conversion and wrap after 2^32-1. Any other register reads as FF.
type Counter struct {
	mu       sync.Mutex
	register byte
	busy     bool
	due      time.Time
	number   uint32
}

// CounterConversion is how long a conversion of a Counter takes.
const CounterConversion = time.Millisecond

// The registers of a Counter.
const (
	CounterStatus byte = 0x00
	CounterStart  byte = 0x01
	CounterNumber byte = 0x02

	counterBusy byte = 0x80
)

// NewCounter returns a Counter whose last conversion was number last: 0 for a
// new one, more for one that must not repeat what an earlier process counted.
func NewCounter(last uint32) *Counter { return &Counter{number: last} }

// Tx implements Chip.
func (c *Counter) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tx(time.Now(), w, r)
	return nil
}

func (c *Counter) tx(now time.Time, w, r []byte) {
	if c.busy && !now.Before(c.due) {
		c.busy = false
		c.number++
	}
	if len(w) > 0 {
		c.register = w[0]
		if c.register == CounterStart && !c.busy {
			c.busy, c.due = true, now.Add(CounterConversion)
		}
	}
	if len(r) == 0 {
		return
	}
	released(r)
	switch c.register {
	case CounterStatus:
		r[0] = 0
		if c.busy {
			r[0] = counterBusy
		}
	case CounterNumber:
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], c.number)
		copy(r, b[:])
	}
}

// released fills r with what a host reads when no target drives SDA.
func released(r []byte) {
	for i := range r {
		r[i] = 0xff
	}
}
