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
	s.mu.Lock()
	span := s.spans[series]
	s.mu.Unlock()
	if from < math.MinInt64+span {
		from = math.MinInt64
	} else {
		from -= span
	}
	prefix := append([]byte{keyRow}, series[:]...)
	opt := badger.DefaultIteratorOptions
	opt.Prefix = prefix
	src := &source{store: s, it: txn.NewIterator(opt), info: info, column: column}
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

// block is an open block: its rows, and the next one in order of time.
type block struct {
	row    Row
	info   *SeriesInfo
	column int
	rows   wire.Rows
	order  []int32 // rows by tick, if they are not so already
	next   int
}

func (b *block) decode(s *source) error {
	b.row, b.info, b.column, b.next = s.row, s.info, s.column, 0
	r := &b.row
	if err := wire.ParseColumns(r.Data, r.N, len(b.info.Body.Columns), r.Grid, r.First, &b.rows); err != nil {
		return fmt.Errorf("block of run %s seq %d: %w", r.Run, r.Seq, err)
	}
	r.Data = nil // the source's buffer is used again
	b.order = b.order[:0]
	if slices.IsSorted(b.rows.T) {
		return nil
	}
	for i := range b.rows.T {
		b.order = append(b.order, int32(i))
	}
	slices.SortStableFunc(b.order, func(x, y int32) int { return cmp.Compare(b.rows.T[x], b.rows.T[y]) })
	return nil
}

// at is the row that comes next.
func (b *block) at() int {
	if len(b.order) > 0 {
		return int(b.order[b.next])
	}
	return b.next
}

// time is the UTC of the next row in microseconds.
func (b *block) time() int64 {
	return b.row.UTC0 + b.rows.T[b.at()]*int64(b.info.Body.Tick)/1000
}

// advance moves to the next row; it is false after the last.
func (b *block) advance() bool {
	b.next++
	return b.next < len(b.rows.T)
}

func (b *block) reading() Reading {
	i := b.at()
	col := b.info.Body.Columns[b.column]
	v := b.rows.V[b.column][i]
	return Reading{
		Time:     time.UnixMicro(b.time()).UTC(),
		Raw:      v,
		Value:    col.Float(v),
		Unit:     col.Unit,
		Quality:  wire.QualityOf(b.rows.Q[i], b.column),
		Source:   b.row.Source,
		Received: time.UnixMicro(b.row.Received).UTC(),
		Run:      b.row.Run,
		Seq:      b.row.Seq,
		Row:      i,
		Tick:     b.rows.T[i] * int64(b.info.Body.Tick),
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
		cmp.Compare(a.row.Seq, b.row.Seq), bytes.Compare(a.info.Schema[:], b.info.Schema[:])) < 0
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
