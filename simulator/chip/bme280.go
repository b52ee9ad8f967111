package chip

import (
	"sync"
	"time"
)

// BME280 is Bosch's humidity, pressure and temperature sensor, from its
// datasheet BST-BME280-DS002; numbers in comments are its sections. It has
// sleep, forced and normal mode, oversampling, the filter, the trimming
// parameters and the reset. Not here: SPI, and im_update (5.4.4), whose copying
// is over before the chip answers.
type BME280 struct {
	probe  Probe
	cal    Calibration
	timing Timing

	mu      sync.Mutex
	reg     [256]byte // as read; registers that are not in the map read 0
	pointer byte      // address of the next byte to read
	awake   time.Time // when the start-up after a reset ends

	humidityOn byte // osrs_h as latched by a write of ctrl_meas (5.4.3)
	measuring  bool
	due        time.Time // end of the running measurement
	next       time.Time // start of the next one in normal mode
	pending    bool      // a ctrl_meas write that waits for the measurement's end (3.3.1)
	pendingReg byte
	filterT    iir
	filterP    iir
}

// The register map (5.3, table 18).
const (
	bmeID       = 0xd0
	bmeReset    = 0xe0
	bmeCtrlHum  = 0xf2
	bmeStatus   = 0xf3
	bmeCtrlMeas = 0xf4
	bmeConfig   = 0xf5
	bmeData     = 0xf7 // press 20, temp 20, hum 16, most significant byte first

	bmeChipID    = 0x60
	bmeResetWord = 0xb6
	bmeMeasuring = 1 << 3
)

// bmeStartUp is the longest time to the first communication (1.2, table 1).
const bmeStartUp = 2 * time.Millisecond

// The modes of ctrl_meas (5.4.5, table 25); 01 and 10 are both forced.
const (
	bmeSleep  = 0
	bmeForced = 1
	bmeNormal = 3
)

// NewBME280 returns a BME280 that was powered on just now.
func NewBME280(probe Probe, cal Calibration, timing Timing) *BME280 {
	return newBME280(probe, cal, timing, time.Now())
}

func newBME280(probe Probe, cal Calibration, timing Timing, now time.Time) *BME280 {
	c := &BME280{probe: probe, cal: cal, timing: timing}
	c.reset(now)
	return c
}

// reset is the power-on reset, which the reset word also causes (5.4.2).
func (c *BME280) reset(now time.Time) {
	c.reg = [256]byte{bmeID: bmeChipID}
	c.cal.store(&c.reg)
	c.setData(skipped20, skipped20, skipped16)
	c.pointer = 0
	c.awake = now.Add(bmeStartUp)
	c.humidityOn, c.measuring, c.pending = 0, false, false
	c.filterT, c.filterP = iir{}, iir{}
}

// Tx implements Chip. Writes are pairs of register and value (6.2.1), a single
// last byte sets the register that a read begins at, and reads count up (6.2.2).
// Until the start-up is over the chip does not acknowledge its address.
func (c *BME280) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tx(time.Now(), w, r)
}

func (c *BME280) tx(now time.Time, w, r []byte) error {
	if now.Before(c.awake) {
		return NACK
	}
	c.advance(now)
	for len(w) > 1 {
		c.pointer = w[0]
		c.write(now, w[0], w[1])
		w = w[2:]
		if now.Before(c.awake) && len(w)+len(r) > 0 {
			return NACK // it was reset in the middle of the transaction
		}
	}
	if len(w) == 1 {
		c.pointer = w[0]
	}
	for i := range r {
		r[i] = c.reg[c.pointer]
		c.pointer++
	}
	return nil
}

// write takes one register's value; read-only and reserved ones keep theirs.
func (c *BME280) write(now time.Time, reg, v byte) {
	switch reg {
	case bmeReset:
		if v == bmeResetWord {
			c.reset(now)
		}
	case bmeCtrlHum:
		c.reg[bmeCtrlHum] = v & 0x07 // effective at the next write of ctrl_meas (5.4.3)
	case bmeConfig:
		// "Writes to the config register in normal mode may be ignored" (5.4.6):
		// here they are.
		if c.mode() == bmeNormal {
			return
		}
		if old := c.reg[bmeConfig]; (old^v)&0x1c != 0 {
			c.filterT, c.filterP = iir{}, iir{} // 3.4.4
		}
		c.reg[bmeConfig] = v & 0xfd
	case bmeCtrlMeas:
		switch {
		case !c.measuring:
			c.control(now, v)
		case !c.pending:
			c.pending, c.pendingReg = true, v
		}
	}
}

func (c *BME280) mode() byte {
	switch m := c.reg[bmeCtrlMeas] & 3; m {
	case bmeSleep, bmeNormal:
		return m
	}
	return bmeForced
}

// control executes a write of ctrl_meas.
func (c *BME280) control(at time.Time, v byte) {
	c.reg[bmeCtrlMeas] = v
	c.humidityOn = c.reg[bmeCtrlHum]
	if c.mode() != bmeSleep {
		c.begin(at)
	}
}

func (c *BME280) begin(at time.Time) {
	c.measuring = true
	c.reg[bmeStatus] |= bmeMeasuring
	c.due = at.Add(c.measurementTime())
}

// bmeCatchUp is how many late measurements are done after an idle time in
// normal mode: the slowest filter (coefficient 16) has forgotten all but
// (15/16)^256, a tenth of a millionth, of what was before.
const bmeCatchUp = 256

// advance ends and begins the measurements that fall before now.
func (c *BME280) advance(now time.Time) {
	for {
		if c.measuring {
			if now.Before(c.due) {
				return
			}
			c.finish(c.due)
			continue
		}
		if c.mode() != bmeNormal || now.Before(c.next) {
			return
		}
		cycle := c.measurementTime() + c.standby()
		if late := now.Sub(c.next) / cycle; late > bmeCatchUp {
			c.next = c.next.Add((late - bmeCatchUp) * cycle)
		}
		c.begin(c.next)
	}
}

// finish stores the results of the measurement that ended at at.
func (c *BME280) finish(at time.Time) {
	c.measuring = false
	c.reg[bmeStatus] &^= bmeMeasuring
	c.convert(c.probe(at))
	switch {
	case c.mode() == bmeNormal:
		c.next = at.Add(c.standby())
	default:
		c.reg[bmeCtrlMeas] &^= 3 // back to sleep (3.3.3)
	}
	if c.pending {
		c.pending = false
		c.control(at, c.pendingReg)
	}
}
