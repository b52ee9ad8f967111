package fault

import (
	"slices"
	"time"

	"github.com/atrium-iot/atrium/simulator/chip"
)

// brokenChip is a chip in its faults: a chip.Chip itself. The target's lock is
// not held while the chip works, because a chip may stretch the clock.
type brokenChip struct {
	*target // its lock guards what follows

	powerOn func() chip.Chip
	chip    chip.Chip
	absent  bool
	replies replies
}

func newBrokenChip(t *target, powerOn func() chip.Chip) *brokenChip {
	c := &brokenChip{target: t, powerOn: powerOn, chip: powerOn()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled = c.plug
	return c
}

// plug unplugs the chip, or plugs it in again and so powers it on.
func (c *brokenChip) plug(at time.Duration) {
	was := c.absent
	c.absent = c.inForce(Unplugged, at)
	if was && !c.absent {
		c.chip, c.replies = c.powerOn(), replies{}
	}
}

// Tx implements chip.Chip.
func (c *brokenChip) Tx(w, r []byte) error {
	at := time.Since(c.start)
	whole, ok := c.before(at)
	if !ok {
		return chip.NACK
	}
	if err := whole.Tx(w, r); err != nil || len(r) == 0 {
		return err
	}
	c.after(at, w, r)
	return nil
}

// before returns the chip, or false if the transaction does not reach it.
func (c *brokenChip) before(at time.Duration) (chip.Chip, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(at)
	if c.strikes(Unplugged, at) || c.strikes(NACK, at) {
		return nil, false
	}
	return c.chip, true
}

// after changes what was read at a time.
func (c *brokenChip) after(at time.Duration, w, r []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.replies.of(w, len(r)); ok && c.strikes(Stuck, at) {
		copy(r, last)
	} else {
		c.replies.keep(w, r)
	}
	if c.strikes(CRC, at) {
		bit := c.random.IntN(len(r) * 8)
		r[bit/8] ^= 1 << (bit % 8)
	}
}

// Limits of what is remembered of a chip: more requests, and longer ones, than
// the reading of a sensor needs.
const (
	maxReplies = 64
	maxRequest = 16
	maxReply   = 64
)

// replies are the last answers of a chip by request. The zero value is empty.
type replies struct{ last map[string][]byte }

// of returns the last answer to the request, if it had n bytes.
func (m *replies) of(w []byte, n int) ([]byte, bool) {
	last := m.last[string(w)]
	return last, len(last) == n
}

// keep remembers an answer; it copies both.
func (m *replies) keep(w, r []byte) {
	last, known := m.last[string(w)]
	switch {
	case len(w) > maxRequest || len(r) > maxReply || !known && len(m.last) == maxReplies:
		return
	case len(last) == len(r):
		copy(last, r)
		return
	case m.last == nil:
		m.last = map[string][]byte{}
	}
	m.last[string(w)] = slices.Clone(r)
}
