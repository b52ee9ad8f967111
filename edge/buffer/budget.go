package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// budget is what the process may write in a day, so that a flash card lasts for
// years. A day is 24 hours in which the gateway runs, on the boot's clock: no
// clock that steps can begin one early. What is spent of it and how long it has
// lasted survive restarts.
type budget struct {
	limit int64         // bytes a day; 0 for none
	spent int64         // in this day
	since time.Duration // how long this day has lasted

	seen int64         // what the process had written when last looked at
	at   time.Duration // and when that was
}

const day = 24 * time.Hour

// step takes what the process has written since it began, at now.
func (g *budget) step(now time.Duration, written int64) {
	g.spent += max(written-g.seen, 0)
	g.since += max(now-g.at, 0)
	g.seen, g.at = written, now
	if g.since >= day {
		g.since, g.spent = g.since%day, 0
	}
}

// over says whether the day's budget is used up.
func (g *budget) over() bool { return g.limit > 0 && g.spent >= g.limit }

func (g *budget) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(g.spent))
	return binary.BigEndian.AppendUint64(dst, uint64(g.since))
}

// restore takes what append wrote.
func (g *budget) restore(b []byte) error {
	if len(b) != 16 {
		return fmt.Errorf("%w: budget of %d bytes", errCorrupt, len(b))
	}
	spent, since := int64(binary.BigEndian.Uint64(b)), time.Duration(binary.BigEndian.Uint64(b[8:]))
	if spent < 0 || since < 0 || since >= day {
		return fmt.Errorf("%w: budget %x", errCorrupt, b)
	}
	g.spent, g.since = spent, since
	return nil
}

// budgetEvery is how often the budget is written down, which costs a page or two
// each time: so much of a day may be forgotten by a crash, and a gateway that
// writes nothing else stays far below a megabyte a day.
const budgetEvery = time.Hour

// recoverBudget reads what is spent of the day. One that is damaged begins anew.
func (b *Buffer) recoverBudget() error {
	g := &b.core.budget
	g.limit, g.at = b.cfg.WriteBudget, b.cfg.Now()
	value, err := b.get(budgetKey())
	if err == nil {
		err = g.restore(value)
	}
	if errors.Is(err, errCorrupt) {
		b.log.Warn("buffer: what was written today is not known any more; the day's write budget begins anew", "error", err)
	} else if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// spend looks at what the process has written.
func (b *Buffer) spend() {
	if b.cfg.Written == nil {
		return
	}
	written, err := b.cfg.Written()
	b.mu.Lock()
	before := b.core.spent
	if err == nil {
		b.core.budget.step(b.cfg.Now(), written)
		b.core.spent = b.core.budget.over()
	}
	spent := b.core.spent
	b.mu.Unlock()
	switch {
	case spent && !before:
		b.log.Warn("buffer: the day's write budget is used up; only each 8th row that is due is kept until the day ends", "budget", b.cfg.WriteBudget)
	case before && !spent:
		b.log.Info("buffer: a new day of the write budget begins")
	}
}

// saveBudget writes the budget down.
func (b *Buffer) saveBudget() error {
	if b.cfg.Written == nil {
		return nil
	}
	return b.change(func() (*plan, error) {
		p := newPlanner()
		value := b.core.budget.append(nil)
		p.room(1, indexCost(len(budgetKey()), len(value)+crcSize), len(value))
		p.put(budgetKey(), value)
		return p.plan(), nil
	})
}

// ProcessWritten returns the bytes that this process has caused to be written to
// storage since it began, as the kernel counts them (/proc/self/io,
// write_bytes): pages made dirty, those of mapped files included, but not what
// the file system's journal and the flash make of them.
func ProcessWritten() (int64, error) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, fmt.Errorf("buffer: bytes written: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			return strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		}
	}
	return 0, errors.New("buffer: bytes written: /proc/self/io does not tell")
}
