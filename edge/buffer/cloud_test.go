package buffer_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// row names a row of a test's series: its one value and tick are n.
type row struct {
	device id.Device
	n      int64
}

// cloud is the dumbest owner of runs there is: it keeps one next per run,
// applies what has it, ignores what is below, and refuses what is above.
type cloud struct {
	next    map[id.Run]uint64
	schemas map[string]wire.Schema // by run and sid
	clocks  map[string]wire.Clock
	rows    map[row]int // how often each was applied
	gaps    []wire.Gap
	frames  []wire.Frame
}

func newCloud() *cloud {
	return &cloud{next: map[id.Run]uint64{}, schemas: map[string]wire.Schema{}, clocks: map[string]wire.Clock{}, rows: map[row]int{}}
}

// applied returns the highest sequence of a run that it has, 0 for none.
func (c *cloud) applied(run id.Run) uint64 { return max(c.next[run], 1) - 1 }

// take applies an item and returns an error if it breaks the protocol.
func (c *cloud) take(run id.Run, it buffer.Item) error {
	for _, msg := range it.Before {
		if err := c.define(run, msg); err != nil {
			return err
		}
	}
	owner, first, last, err := wire.PeekSeq(it.Frame)
	if err != nil {
		return err
	}
	if owner != run || first != it.First || last != it.Last {
		return fmt.Errorf("item %d..%d of %s holds %d..%d of %s", it.First, it.Last, run, first, last, owner)
	}
	next := max(c.next[run], 1)
	if k, _ := wire.Peek(it.Frame); k == wire.KindGap {
		g, err := wire.ParseGap(it.Frame)
		if err != nil {
			return err
		}
		if g.A > next {
			return fmt.Errorf("run %s: gap %d..%d where %d is next", run, g.A, g.B, next)
		}
		if g.B >= next {
			c.gaps = append(c.gaps, g)
			c.next[run] = g.B + 1
		}
		return nil
	}
	f, err := wire.ParseFrame(it.Frame)
	if err != nil {
		return err
	}
	if first > next {
		return fmt.Errorf("run %s: frame %d where %d is next", run, first, next)
	}
	if first < next {
		return nil
	}
	c.next[run] = first + 1
	c.frames = append(c.frames, f)
	return c.apply(run, &f)
}

func (c *cloud) define(run id.Run, msg []byte) error {
	k, err := wire.Peek(msg)
	if err != nil {
		return err
	}
	switch k {
	case wire.KindSchema:
		s, err := wire.ParseSchema(msg)
		if err != nil {
			return err
		}
		key := fmt.Sprint(run, s.SID)
		if old, ok := c.schemas[key]; ok && string(old.Append(nil)) != string(msg) {
			return fmt.Errorf("sid %d of %s is redefined", s.SID, run)
		}
		s.Body = append([]byte(nil), s.Body...)
		c.schemas[key] = s
		return errors.Join(sameRun(run, s.Run))
	case wire.KindClock:
		m, err := wire.ParseClock(msg)
		if err != nil {
			return err
		}
		key := fmt.Sprint(run, m.Clk)
		if old, ok := c.clocks[key]; ok && old != m {
			return fmt.Errorf("clk %d of %s is redefined", m.Clk, run)
		}
		c.clocks[key] = m
		return sameRun(run, m.Run)
	}
	return fmt.Errorf("%s before a frame", k)
}

func sameRun(want, got id.Run) error {
	if want != got {
		return fmt.Errorf("message of %s among those of %s", got, want)
	}
	return nil
}

func (c *cloud) apply(run id.Run, f *wire.Frame) error {
	if _, ok := c.clocks[fmt.Sprint(run, f.Clk)]; !ok {
		return fmt.Errorf("run %s: frame %d uses clk %d, which was not sent", run, f.Seq, f.Clk)
	}
	var rows wire.Rows
	for i := range f.Blocks {
		blk := &f.Blocks[i]
		s, ok := c.schemas[fmt.Sprint(run, blk.SID)]
		if !ok {
			return fmt.Errorf("run %s: frame %d uses sid %d, which was not sent", run, f.Seq, blk.SID)
		}
		body, err := wire.ParseBody(s.Body)
		if err != nil {
			return err
		}
		if err := wire.ParseColumns(blk.Data, blk.N, wire.ShapeOf(body.Columns), s.Grid, wire.FirstTick(f.T0, blk.DT0, body.Tick), &rows); err != nil {
			return err
		}
		for k := range blk.N {
			if rows.T[k] != rows.V[0][k] {
				return fmt.Errorf("row %d of %s has tick %d", rows.V[0][k], s.Device, rows.T[k])
			}
			c.rows[row{s.Device, rows.V[0][k]}]++
		}
	}
	return nil
}

// readings returns those in gaps.
func (c *cloud) readings() (n uint64) {
	for _, g := range c.gaps {
		n += g.Readings
	}
	return n
}

func (c *cloud) mustTake(t *testing.T, run id.Run, it buffer.Item) {
	t.Helper()
	if err := c.take(run, it); err != nil {
		t.Fatal(err)
	}
}
