package outage

import (
	"errors"
	"flag"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
)

var length = flag.Duration("outage", 2*time.Hour, "how long there is no link; the limit keeps the proportion of 64 MiB to a week")

const (
	week  = 7 * 24 * time.Hour
	limit = 64 << 20 // bytes of telemetry in a week's outage

	// What the store may take beyond what it holds (edge/buffer/DESIGN.md,
	// Bounds): a part for keys and tables, the oldest file of Badger's value log
	// and what may be deleted until the next reclaim.
	tablesShare = 16
	valueLogs   = 16 << 20
	// drainedDisk is what an empty store may take.
	drainedDisk = 10e6
	// heapBound is what the buffer and its store may add to the heap: MaxMemory, the index
	// of segments, Badger's tables in memory, and the book.
	heapBound = 16 << 20
)

// I1, I5: a gateway without a link keeps the newest readings within its limit,
// and names the others.
func TestAnOutageKeepsTheNewestAndTheLedgerNamesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outage{gateway: newGateway(t, int64(limit*length.Hours()/week.Hours()))}
		defer o.close()
		before := heap()
		for range int(length.Seconds()) {
			o.sample()
			if o.second%60 == 0 {
				o.withinBounds()
			}
			if o.second%3600 == 0 {
				o.heap = max(o.heap, heap()-before)
			}
		}
		if o.heap > heapBound {
			t.Errorf("the heap grew by %d bytes, want at most %d", o.heap, heapBound)
		}
		held := o.atTheEnd()
		o.drain()
		o.ledger(&held)
		o.emptied()
	})
}

// outage is a gateway without a link, and the most that was seen of it.
type outage struct {
	*gateway
	level      buffer.Pressure
	heap       int64
	disk, over int64 // bytes on disk, and those beyond what is held
	arrived    int64 // events
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// withinBounds looks at disk and memory, and that nothing is dropped before the
// sampler has thinned all that it can.
func (o *outage) withinBounds() {
	o.t.Helper()
	st := o.buf.Stats()
	if st.StoredBytes-st.EventBytes > o.cfg.Limit || st.MemoryBytes > o.cfg.MaxMemory {
		o.t.Fatalf("second %d: %d bytes of telemetry are stored, %d are in memory; the limits are %d and %d",
			o.second, st.StoredBytes-st.EventBytes, st.MemoryBytes, o.cfg.Limit, o.cfg.MaxMemory)
	}
	over := st.DiskBytes - st.StoredBytes
	if over > st.StoredBytes/tablesShare+valueLogs {
		o.t.Fatalf("second %d: %d bytes on disk for %d that are held", o.second, st.DiskBytes, st.StoredBytes)
	}
	if st.Pressure != o.level {
		o.t.Logf("pressure %s after %s, %d of %d bytes held", st.Pressure, time.Duration(o.second)*time.Second, st.StoredBytes, o.cfg.Limit)
	}
	if st.Pressure > o.level+1 || st.Dropped[buffer.DropLimit].Readings > 0 && st.Pressure != buffer.PressureHighest {
		o.t.Fatalf("second %d: pressure %s after %s, dropped %+v", o.second, st.Pressure, o.level, st.Dropped)
	}
	o.level, o.disk, o.over = st.Pressure, max(o.disk, st.DiskBytes), max(o.over, over)
}

// atTheEnd is what the buffer says of itself when the link is about to come back.
func (o *outage) atTheEnd() buffer.Stats {
	o.t.Helper()
	st := o.buf.Stats()
	o.t.Logf("%s: %d readings sampled, %d rows thinned; %d readings held in %d segments, %d bytes; at most %d bytes on disk, %d beyond what is held, %d of heap",
		*length, st.Sampled, o.book.thin, st.Readings, st.Segments, st.StoredBytes, o.disk, o.over, o.heap)
	limited := st.Dropped[buffer.DropLimit].Readings
	for reason, d := range st.Dropped {
		if reason != buffer.DropLimit && d.Items > 0 {
			o.t.Errorf("dropped for %s: %+v", reason, d)
		}
	}
	if limited == 0 || st.DroppedEvents > 0 || st.Sampled != limited+st.Readings {
		o.t.Errorf("of %d readings %d are held and %d were dropped, of events %d", st.Sampled, st.Readings, limited, st.DroppedEvents)
	}
	// Whole segments go, and no more of them than the next commit needs.
	if room := o.cfg.Limit - (st.StoredBytes - st.EventBytes); room > 128<<10 {
		o.t.Errorf("%d bytes of the limit are not used", room)
	}
	if o.book.thin == 0 || st.Suppressed != o.book.thin-o.book.tail() {
		o.t.Errorf("the sampler withheld %d rows, of which none has told of %d; the buffer was told of %d", o.book.thin, o.book.tail(), st.Suppressed)
	}
	return st
}

// drain is a connection that takes all and acks it, a few frames behind.
func (o *outage) drain() {
	o.t.Helper()
	s, err := o.buf.Connect()
	if err != nil {
		o.t.Fatal(err)
	}
	o.buf.Welcomed(s)
	if len(s.Backlog) != 2 {
		o.t.Fatalf("%d runs wait, want one of events and one of telemetry", len(s.Backlog))
	}
	o.send(s.Backlog[0], o.event)
	o.send(s.Backlog[1], func(it buffer.Item) error { return o.book.take(it.Before, it.Frame) })
}

// send reads a run to its end.
func (o *outage) send(run id.Run, take func(buffer.Item) error) {
	o.t.Helper()
	const window = 64
	c := o.buf.Cursor(run)
	last := uint64(0)
	for n := 1; ; n++ {
		it, err := c.Next(o.t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = take(it)
		}
		if err != nil {
			o.t.Fatal(err)
		}
		last = it.Last
		if n%window == 0 {
			time.Sleep(10 * time.Millisecond)
			o.buf.Ack(run, last)
		}
	}
	o.buf.Ack(run, last)
}

// event takes the next event, and nothing else.
func (o *outage) event(it buffer.Item) error {
	f, err := wire.ParseFrame(it.Frame)
	if err != nil {
		return err
	}
	o.arrived++
	var rows wire.Rows
	blk := &f.Blocks[0]
	if err := wire.ParseColumns(blk.Data, blk.N, wire.ShapeOf(alarm.Columns), 0, wire.FirstTick(f.T0, blk.DT0, alarm.Tick), &rows); err != nil {
		return err
	}
	if rows.Len() != 1 || rows.V[0][0] != o.arrived || it.First != uint64(o.arrived) {
		return errors.New("events are missing")
	}
	return nil
}

// ledger compares what arrived with the book: one range is missing, the oldest,
// and nothing else.
func (o *outage) ledger(held *buffer.Stats) {
	o.t.Helper()
	b := o.book
	if p, more := b.turn(); more {
		o.t.Errorf("nothing was heard of the row of second %d and what came after it", p.second)
	}
	if len(b.gaps) != 1 || b.gaps[0].A != 1 || b.gaps[0].Reason != wire.GapQuota || b.gaps[0].Readings != held.Dropped[buffer.DropLimit].Readings {
		o.t.Errorf("gaps %+v, want one from the first sequence on; dropped %+v", b.gaps, held.Dropped)
	}
	if got := b.suppressed + b.unheard + b.tail(); got != b.thin {
		o.t.Errorf("%d rows were withheld; frames tell of %d, %d were before what is dropped", b.thin, b.suppressed, b.unheard)
	}
	if o.arrived != o.events {
		o.t.Errorf("%d of %d events arrived", o.arrived, o.events)
	}
}

// emptied looks at the disk a few seconds after all is acked, and at the store
// once the last acks have been written down, which is not hurried.
func (o *outage) emptied() {
	o.t.Helper()
	time.Sleep(5 * time.Second)
	st := o.buf.Stats()
	o.t.Logf("5 s after the drain: %d bytes on disk", st.DiskBytes)
	if st.Frames > 0 || st.DiskBytes > drainedDisk {
		o.t.Errorf("after the drain %d frames are left, and %d bytes on disk", st.Frames, st.DiskBytes)
	}
	time.Sleep(10 * time.Second)
	if st := o.buf.Stats(); st.Segments > 0 || st.StoredBytes > 0 {
		o.t.Errorf("15 s after the drain %d segments of %d bytes are left", st.Segments, st.StoredBytes)
	}
}

// The checker sees what it is there to see.
func TestTheBookNoticesWhatIsMissingDoubledOrMiscounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outage{gateway: newGateway(t, limit)}
		defer o.close()
		for range 60 {
			o.sample()
		}
		s, err := o.buf.Connect()
		if err != nil {
			t.Fatal(err)
		}
		var items []buffer.Item
		o.send(s.Backlog[1], func(it buffer.Item) error {
			items = append(items, it)
			return nil
		})
		gap := func(readings, from, to int64) []byte {
			g := wire.Gap{Run: s.Backlog[1], A: 2, B: 2, Reason: wire.GapQuota, Readings: uint64(readings), TFirst: from, TLast: to}
			return g.Append(nil)
		}
		all := o.book.kept[1]
		rows := make([]at, workload.Devices)
		for dev := range rows {
			rows[dev] = at{1, dev}
		}
		from, to := o.book.span(rows)
		const n = workload.Devices * workload.Points
		for _, c := range []struct {
			name   string
			change func(b *book, items []buffer.Item) []buffer.Item
			wrong  bool
		}{
			{"as it was", func(_ *book, items []buffer.Item) []buffer.Item { return items }, false},
			{"a gap for a frame", func(_ *book, items []buffer.Item) []buffer.Item { items[1].Frame = gap(n, from, to); return items }, false},
			{"a gap that counts too little", func(_ *book, items []buffer.Item) []buffer.Item {
				items[1].Frame = gap(n-workload.Points, from, to)
				return items
			}, true},
			{"a gap of other times", func(_ *book, items []buffer.Item) []buffer.Item { items[1].Frame = gap(n, from, to+1); return items }, true},
			{"a frame is missing", func(_ *book, items []buffer.Item) []buffer.Item { return append(items[:1], items[2:]...) }, true},
			{"a frame comes twice", func(_ *book, items []buffer.Item) []buffer.Item { items[2] = items[1]; return items }, true},
			{"a row too many", func(b *book, items []buffer.Item) []buffer.Item { b.kept[1] = all &^ 1; return items }, true},
			{"the last is missing", func(_ *book, items []buffer.Item) []buffer.Item { return items[:len(items)-1] }, true},
		} {
			b := newBook(o.field)
			b.kept = append(b.kept, o.book.kept...)
			var err error
			for _, it := range c.change(b, append([]buffer.Item(nil), items...)) {
				if err = b.take(it.Before, it.Frame); err != nil {
					break
				}
			}
			if _, more := b.turn(); (err != nil || more) != c.wrong {
				t.Errorf("%s: %v, more rows in the book: %t", c.name, err, more)
			}
		}
	})
}
