package history

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Reading is one sample of one point.
type Reading struct {
	Time     time.Time // UTC of the sample by its row's clock
	Raw      int64     // as sampled, in steps of the column's scale; 0 of a text
	Value    float64   // in Unit; 0 of a text
	Text     *string   // of a text point
	Unit     string
	Quality  wire.Quality
	Source   wire.ClockSource // of Time
	Received time.Time        // journal time
	Run      id.Run
	Seq      uint64
	SID      uint32
	Row      int   // of the block: (Run, Seq, SID, Row) is the reading's identity
	Tick     int64 // nanoseconds since the gateway's boot
}

// MaxReadings bounds what one Read yields: what a page or a verification asks
// for fits, and a reader that forgets its limit does not walk the whole store.
const MaxReadings = 1_000_000

// maxOpen bounds the readings of blocks that are open at once, 80 MB: in time
// order, blocks that overlap must be in memory together, and a device may say
// that all of its blocks do.
const maxOpen = 1 << 21

// Read yields the readings of a device's point with from <= Time < to in
// order of time, at most limit of them (0 or more than MaxReadings:
// MaxReadings). Readings of one time come in order of run, sequence, sid and
// row. More than maxOpen readings in blocks that overlap at one time are an
// error.
// After an error it yields nothing more. It sees the store as it was at its
// first reading.
func (s *Store) Read(ctx context.Context, dev id.Device, point id.Point, from, to time.Time, limit int) iter.Seq2[Reading, error] {
	if limit <= 0 || limit > MaxReadings {
		limit = MaxReadings
	}
	return func(yield func(Reading, error) bool) {
		err := s.db.View(func(txn *badger.Txn) error {
			m := merge{ctx: ctx, store: s, from: micros(from), to: micros(to)}
			defer m.close()
			if err := m.open(txn, dev, point); err != nil {
				return err
			}
			for n := 0; n < limit; n++ {
				if err := ctx.Err(); err != nil {
					return err
				}
				r, ok, err := m.next()
				if err != nil || !ok || !yield(r, nil) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			yield(Reading{}, fmt.Errorf("history: read %s %s: %w", dev, point, err))
		}
	}
}

// micros is t in Unix microseconds; times beyond its range are cut.
func micros(t time.Time) int64 {
	const most = math.MaxInt64/1_000_000 - 1
	return max(-most, min(most, t.Unix()))*1_000_000 + int64(t.Nanosecond()/1000)
}

// SeriesInfo is a series that a device has in history.
type SeriesInfo struct {
	Schema id.Schema
	Body   wire.Body
}

// Series returns the series of a device in no particular order.
func (s *Store) Series(dev id.Device) ([]SeriesInfo, error) {
	var all []SeriesInfo
	err := s.db.View(func(txn *badger.Txn) (err error) {
		all, err = s.series(txn, dev)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("history: series of %s: %w", dev, err)
	}
	return all, nil
}

func (s *Store) series(txn *badger.Txn, dev id.Device) (all []SeriesInfo, err error) {
	prefix := named(keySeries, dev.String())
	err = scan(txn, prefix, func(key, value []byte) error {
		if len(key) != len(prefix)+len(id.Schema{}) {
			return fmt.Errorf("series key of %d bytes", len(key))
		}
		b, err := s.open(key, value)
		if err != nil {
			return fmt.Errorf("series: %w", err)
		}
		body, err := wire.ParseBody(b)
		if err != nil {
			return err
		}
		all = append(all, SeriesInfo{id.Schema(key[len(prefix):]), body})
		return nil
	})
	return all, err
}

// open checks a value's CRC and counts a wrong one.
func (s *Store) open(key, value []byte) ([]byte, error) {
	b, err := unseal(key, value)
	if errors.Is(err, errCRC) {
		s.metrics.corrupt.Inc()
	}
	return b, err
}

// merge walks the blocks of all series of a device that have the point, and
// yields readings by time. A block is decoded when its first time is reached
// and let go after its last reading.
type merge struct {
	ctx      context.Context
	store    *Store
	from, to int64 // microseconds
	sources  []*source
	pending  blockHeap
	waiting  int // readings in pending
	free     []*block
	scratch  wire.Rows
}

func (m *merge) open(txn *badger.Txn, dev id.Device, point id.Point) error {
	all, err := m.store.series(txn, dev)
	if err != nil {
		return err
	}
	for i := range all {
		for c := range all[i].Body.Columns {
			if all[i].Body.Columns[c].Point != point {
				continue
			}
			src := m.store.source(txn, dev, &all[i], c, m.from)
			m.sources = append(m.sources, src)
			if err := src.load(m.to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merge) close() {
	for _, s := range m.sources {
		s.it.Close()
	}
}

// next returns the earliest reading that is left.
func (m *merge) next() (Reading, bool, error) {
	if err := m.admit(); err != nil {
		return Reading{}, false, err
	}
	if len(m.pending) == 0 {
		return Reading{}, false, nil
	}
	b := m.pending[0]
	r := b.reading()
	if b.advance() {
		heap.Fix(&m.pending, 0)
	} else {
		heap.Pop(&m.pending)
		m.waiting -= len(b.cells)
		m.free = append(m.free, b)
	}
	return r, true, nil
}

// admit opens every block that begins at or before the earliest open reading.
func (m *merge) admit() error {
	for _, s := range m.sources {
		for s.ok && (len(m.pending) == 0 || s.row.From <= m.pending[0].time()) {
			if err := m.ctx.Err(); err != nil { // many blocks may end before from
				return err
			}
			if err := m.take(s); err != nil {
				return err
			}
			if err := s.load(m.to); err != nil {
				return err
			}
		}
	}
	return nil
}

// take opens the source's block, if a reading of it is asked for.
func (m *merge) take(s *source) error {
	var b *block
	if n := len(m.free); n > 0 {
		b, m.free = m.free[n-1], m.free[:n-1]
	} else {
		b = new(block)
	}
	if err := b.decode(s, &m.scratch, m.from, m.to); err != nil {
		return err
	}
	if len(b.cells) == 0 {
		m.free = append(m.free, b)
		return nil
	}
	if m.waiting += len(b.cells); m.waiting > maxOpen {
		return fmt.Errorf("more than %d readings in blocks that overlap at %s", maxOpen, time.UnixMicro(m.pending[0].time()).UTC().Format(time.RFC3339))
	}
	heap.Push(&m.pending, b)
	return nil
}
