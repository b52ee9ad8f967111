package sim

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
)

// sensed is a device and its series as one sampler has them, with an eye on
// what becomes of each read: a row, or a count in a later one.
type sensed struct {
	device.Device
	name    id.Device
	process *process
	rows    *buffer.Series

	mu      sync.Mutex
	reads   int     // that ended since the last row
	numbers []int64 // what they delivered
	failed  bool    // the last of them
	taken   uint64  // reads that rows were said to stand for beside their own
}

// Read implements device.Device.
func (d *sensed) Read(into *profile.Sample, done func(error)) error {
	err := d.Device.Read(into, func(err error) {
		d.ended(into, err)
		done(err)
	})
	if err != nil {
		d.ended(into, err)
	}
	return err
}

// ended takes the end of a read. One that was not tried is none.
func (d *sensed) ended(got *profile.Sample, err error) {
	if errors.Is(err, bus.ErrQueueFull) || bus.Kind(err) == bus.KindClosed {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	d.failed = err != nil
	if err == nil {
		d.numbers = append(d.numbers, got.V[0])
	}
}

// Append implements device.Series. A row's suppressed are the reads that it was
// not made of, no more and no less (I5).
func (d *sensed) Append(tick int64, q uint64, v []int64, suppressed int) error {
	passed := suppressed
	if d.process.gw.uncounted {
		passed = 0
	}
	if err := d.rows.Append(tick, q, v, passed); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reads-1 != suppressed {
		d.process.gw.trace.complain("I5", "%s: a row after %d reads counts %d as withheld", d.name, d.reads, suppressed)
	}
	d.taken += uint64(suppressed)
	withheld := d.numbers
	if !d.failed { // the last one is the row's
		withheld = withheld[:len(withheld)-1]
	}
	d.process.gw.board.withhold(d.name, withheld)
	d.reads, d.numbers = 0, d.numbers[:0]
	return nil
}

// end takes what no row follows: the sampler alone has counted it.
func (d *sensed) end() (taken, left uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.process.gw.board.withhold(d.name, d.numbers)
	return d.taken, uint64(d.reads)
}

// checkWithheld holds what the sampler says it withheld against the rows that it
// made, and these against the frames of the process (I5). Sampling has ended; whole
// is a process that ended well, so that all its rows became frames.
func (p *process) checkWithheld(whole bool) {
	var taken, left uint64
	for _, d := range p.sensed {
		t, l := d.end()
		taken, left = taken+t, left+l
	}
	g := p.gw
	if said := counted(p.metrics, "atrium_device_suppressed_rows_total"); said != taken+left {
		g.trace.complain("I5", "%s: the sampler withheld %d rows, %d are counted in rows and %d came behind the last", g.name, said, taken, left)
	}
	framed := g.books.suppressed(p)
	if st := p.buf.Stats(); framed > taken || whole && framed < taken && st.Dropped[buffer.DropMemory].Items == 0 {
		g.trace.complain("I5", "%s: rows count %d withheld ones, their frames %d", g.name, taken, framed)
	}
	g.board.thinned(counted(p.metrics, "atrium_device_thinned_rows_total"))
}

// counted is the value of a counter.
func counted(reg *prometheus.Registry, name string) uint64 {
	families, err := reg.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() == name {
			return uint64(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	return 0
}
