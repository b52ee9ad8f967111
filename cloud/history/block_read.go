package history

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// source is the blocks of one series in order of their first time.
type source struct {
	store  *Store
	it     *badger.Iterator
	info   *SeriesInfo
	column int
	ok     bool // row holds the next block
	row    Row
	data   []byte // row's value; row.Data aliases it
}

// source begins early enough for blocks that reach into from.
func (s *Store) source(txn *badger.Txn, dev id.Device, info *SeriesInfo, column int, from int64) *source {
	series := seriesOf(dev, info.Schema)
	span := s.span(series)
	if from < math.MinInt64+span {
		from = math.MinInt64
	} else {
		from -= span
	}
	prefix := append([]byte{keyRow}, series[:]...)
	src := &source{store: s, it: txn.NewIterator(walk(prefix)), info: info, column: column}
	src.it.Seek(appendTime(prefix, from))
	return src
}

// load reads the next block that begins before to.
func (s *source) load(to int64) error {
	s.ok = false
	if !s.it.Valid() {
		return nil
	}
	item := s.it.Item()
	if err := parseRowKey(item.Key(), &s.row); err != nil {
		return err
	}
	if s.row.From >= to {
		return nil
	}
	var err error
	if s.data, err = item.ValueCopy(s.data); err != nil {
		return err
	}
	b, err := s.store.open(item.Key(), s.data)
	if err == nil {
		err = parseBlock(b, &s.row)
	}
	if err != nil {
		return fmt.Errorf("block of run %s seq %d: %w", s.row.Run, s.row.Seq, err)
	}
	s.ok = true
	s.it.Next()
	return nil
}

// block is an open block: the readings of one column that are asked for, and
// the next one.
type block struct {
	row    Row
	info   *SeriesInfo
	column int
	cells  []cell // by time, then row
	next   int
}

// cell is one row of a block's column.
type cell struct {
	micros  int64 // UTC
	tick    int64
	raw     int64
	row     int32
	quality wire.Quality
	text    *string // of a text column; raw is 0 then
}

// decode takes the readings with from <= time < to out of the source's block;
// there may be none. scratch is for the block's other columns.
func (b *block) decode(s *source, scratch *wire.Rows, from, to int64) error {
	b.row, b.info, b.column, b.next = s.row, s.info, s.column, 0
	r := &b.row
	if err := wire.ParseColumns(r.Data, r.N, wire.ShapeOf(b.info.Body.Columns), r.Grid, r.First, scratch); err != nil {
		return fmt.Errorf("block of run %s seq %d: %w", r.Run, r.Seq, err)
	}
	r.Data = nil // the source's buffer is used again
	b.cells = b.cells[:0]
	var texts []string // of the column, if it has them
	if b.info.Body.Columns[b.column].Kind == wire.KindText {
		texts = slices.Clone(scratch.Texts[b.column])
	}
	if r.From >= from && r.To < to {
		b.cells = slices.Grow(b.cells, r.N)
	}
	for i, t := range scratch.T {
		us := r.UTC0 + t*int64(b.info.Body.Tick)/1000
		if us >= from && us < to {
			x := cell{micros: us, tick: t, raw: scratch.V[b.column][i], row: int32(i), quality: wire.QualityOf(scratch.Q[i], b.column)}
			if texts != nil {
				x.raw, x.text = 0, &texts[x.raw]
			}
			b.cells = append(b.cells, x)
		}
	}
	slices.SortFunc(b.cells, func(x, y cell) int {
		return cmp.Or(cmp.Compare(x.micros, y.micros), cmp.Compare(x.row, y.row))
	})
	return nil
}

// time is the UTC of the next reading in microseconds.
func (b *block) time() int64 { return b.cells[b.next].micros }

// advance moves to the next reading; it is false after the last.
func (b *block) advance() bool {
	b.next++
	return b.next < len(b.cells)
}

func (b *block) reading() Reading {
	x := &b.cells[b.next]
	col := b.info.Body.Columns[b.column]
	return Reading{
		Time:     time.UnixMicro(x.micros).UTC(),
		Raw:      x.raw,
		Value:    col.Float(x.raw),
		Text:     x.text,
		Unit:     col.Unit,
		Quality:  x.quality,
		Source:   b.row.Source,
		Received: time.UnixMicro(b.row.Received).UTC(),
		Run:      b.row.Run,
		Seq:      b.row.Seq,
		SID:      b.row.SID,
		Row:      int(x.row),
		Tick:     x.tick * int64(b.info.Body.Tick),
	}
}

// blockHeap has the block with the earliest next reading on top. It is a
// container/heap.
type blockHeap []*block

func (h blockHeap) Len() int      { return len(h) }
func (h blockHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h blockHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.time(), b.time()), bytes.Compare(a.row.Run[:], b.row.Run[:]),
		cmp.Compare(a.row.Seq, b.row.Seq), cmp.Compare(a.row.SID, b.row.SID)) < 0
}

// Push adds a block.
func (h *blockHeap) Push(x any) { *h = append(*h, x.(*block)) }

// Pop removes the last block.
func (h *blockHeap) Pop() any {
	old := *h
	b := old[len(old)-1]
	*h = old[:len(old)-1]
	return b
}
