package outage

import (
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
)

const (
	// period is after how many seconds the sensors' values come again, but for
	// the counter, which goes on: a week of them would not fit into memory.
	period  = 3600
	counter = 3 // its column
)

// field is the sensors: it knows each value of each second.
type field []workload.Series

func newField() field { return workload.Gateway(period) }

// row writes what a device shows in a second to v and returns its tick.
func (f field) row(second, dev int, v []int64) (tick int64) {
	rows, round := &f[dev].Rows, int64(second/period)
	i := second % period
	for c := range v {
		v[c] = rows.V[c][i]
	}
	v[counter] += round * (rows.V[counter][period-1] - rows.V[counter][0])
	return rows.T[i] + round*period*1000
}

// at names a row.
type at struct{ second, dev int }

// book is what the buffer was given, in order, and how much of it the cloud has
// met: the frames and gaps of a run cut that order into pieces.
type book struct {
	field field
	kept  []uint32 // by second: a bit for each device whose row was appended
	thin  uint64   // rows that were withheld

	// What the cloud has met of one run.
	next       at // the first row that it has not
	seq        uint64
	gaps       []wire.Gap
	frames     int
	suppressed uint64 // rows withheld that frames tell of
	unheard    uint64 // rows withheld before those that are in gaps
	schemas    map[uint32]wire.Schema
	columns    wire.Rows // scratch
}

func newBook(f field) *book { return &book{field: f, schemas: map[uint32]wire.Schema{}} }

// note writes down whether a device's row was appended.
func (b *book) note(second, dev int, appended bool) {
	if second == len(b.kept) {
		b.kept = append(b.kept, 0)
	}
	if appended {
		b.kept[second] |= 1 << dev
	} else {
		b.thin++
	}
}

func (b *book) has(p at) bool { return b.kept[p.second]&(1<<p.dev) != 0 }

// tail counts the rows that were withheld after the last one of each device:
// nobody has told of them yet.
func (b *book) tail() (n uint64) {
	for dev := range b.field {
		n += b.withheld(at{len(b.kept), dev})
	}
	return n
}

// turn returns the next row that was appended and moves past it.
func (b *book) turn() (p at, ok bool) {
	for b.next.second < len(b.kept) {
		p = b.next
		if b.next.dev++; b.next.dev == len(b.field) {
			b.next = at{p.second + 1, 0}
		}
		if b.has(p) {
			return p, true
		}
	}
	return at{}, false
}

// turns returns the next n rows.
func (b *book) turns(n uint64) (rows []at, err error) {
	for range n {
		p, ok := b.turn()
		if !ok {
			return nil, fmt.Errorf("%d rows where %d were appended", n, len(rows))
		}
		rows = append(rows, p)
	}
	return rows, nil
}

// withheld counts the rows of the device that were thinned since the last one
// before p.
func (b *book) withheld(p at) (n uint64) {
	for p.second--; p.second >= 0 && !b.has(p); p.second-- {
		n++
	}
	return n
}

// take meets a frame or gap, and what goes before it. Its sequences must follow the last one's, and what
// it holds, or says that it held, must be the rows that follow in the book.
func (b *book) take(before [][]byte, msg []byte) error {
	for _, m := range before {
		if k, _ := wire.Peek(m); k != wire.KindSchema {
			continue
		}
		s, err := wire.ParseSchema(m)
		if err != nil {
			return err
		}
		s.Body = slices.Clone(s.Body)
		b.schemas[s.SID] = s
	}
	_, first, last, err := wire.PeekSeq(msg)
	if err != nil {
		return err
	}
	if first != b.seq+1 {
		return fmt.Errorf("sequence %d after %d", first, b.seq)
	}
	b.seq = last
	if k, _ := wire.Peek(msg); k == wire.KindGap {
		return b.takeGap(msg)
	}
	return b.takeFrame(msg)
}

func (b *book) takeGap(msg []byte) error {
	g, err := wire.ParseGap(msg)
	if err != nil {
		return err
	}
	rows, err := b.turns(g.Readings / workload.Points)
	if err != nil || len(rows) == 0 || g.Readings%workload.Points != 0 {
		return fmt.Errorf("gap %+v: rows in the book: %d, %w", g, len(rows), err)
	}
	first, last := b.span(rows)
	if g.TFirst != first || g.TLast != last {
		return fmt.Errorf("gap %+v stands for rows from %d to %d ms", g, first, last)
	}
	for _, p := range rows {
		b.unheard += b.withheld(p)
	}
	b.gaps = append(b.gaps, g)
	return nil
}

// span returns the first and the last tick of rows; a tick is a millisecond.
func (b *book) span(rows []at) (first, last int64) {
	v := make([]int64, workload.Points)
	for i, p := range rows {
		tick := b.field.row(p.second, p.dev, v)
		if i == 0 {
			first, last = tick, tick
		}
		first, last = min(first, tick), max(last, tick)
	}
	return first, last
}

func (b *book) takeFrame(msg []byte) error {
	f, err := wire.ParseFrame(msg)
	if err != nil {
		return err
	}
	n := uint64(0)
	for i := range f.Blocks {
		n += uint64(f.Blocks[i].N)
	}
	rows, err := b.turns(n)
	if err != nil {
		return fmt.Errorf("frame %d: %w", f.Seq, err)
	}
	of := map[id.Device][]at{}
	var withheld uint64
	for _, p := range rows {
		dev := workload.Device(site, p.dev)
		of[dev] = append(of[dev], p)
		withheld += b.withheld(p)
	}
	if uint64(f.Suppressed) != withheld {
		return fmt.Errorf("frame %d says that %d rows were withheld before its own, they were %d", f.Seq, f.Suppressed, withheld)
	}
	b.suppressed += withheld
	for i := range f.Blocks {
		s, ok := b.schemas[f.Blocks[i].SID]
		if !ok {
			return fmt.Errorf("frame %d: no schema %d", f.Seq, f.Blocks[i].SID)
		}
		if err := b.compare(&f, &f.Blocks[i], &s, of[s.Device]); err != nil {
			return fmt.Errorf("frame %d, %s: %w", f.Seq, s.Device, err)
		}
	}
	b.frames++
	return nil
}

// compare checks that a block is these rows.
func (b *book) compare(f *wire.Frame, blk *wire.Block, s *wire.Schema, want []at) error {
	body, err := wire.ParseBody(s.Body)
	if err != nil {
		return err
	}
	got := &b.columns
	if err := wire.ParseColumns(blk.Data, blk.N, wire.ShapeOf(body.Columns), s.Grid, wire.FirstTick(f.T0, blk.DT0, body.Tick), got); err != nil {
		return err
	}
	if blk.N != len(want) {
		return fmt.Errorf("%d rows, %d follow in the book", blk.N, len(want))
	}
	var v [workload.Points]int64
	for k, p := range want {
		tick := b.field.row(p.second, p.dev, v[:])
		same := got.T[k] == tick && got.Q[k] == 0
		for c := range v {
			same = same && got.V[c][k] == v[c]
		}
		if !same {
			return fmt.Errorf("row %d is not that of second %d (%s)", k, p.second, time.Duration(tick)*time.Millisecond)
		}
	}
	return nil
}
