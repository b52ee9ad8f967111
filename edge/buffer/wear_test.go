package buffer_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/shared/wire"
)

// minute samples 20 devices at 1 Hz for a minute; the cloud acks each frame
// 100 ms after it was sent.
func (w *bench) minute(online bool) {
	w.t.Helper()
	var run [8]byte
	var c *buffer.Cursor
	if online {
		run = w.connect().Live[0]
		c = w.buf.Cursor(run)
	}
	for range 60 {
		for dev := range 20 {
			w.n++
			if err := w.series(dev).Append(w.n, 0, []int64{w.n}, 0); err != nil {
				w.t.Fatal(err)
			}
		}
		for range 4 {
			settle(250 * time.Millisecond)
			if !online {
				continue
			}
			items, _ := w.pull(c)
			settle(0)
			for _, it := range items {
				time.AfterFunc(100*time.Millisecond, func() { w.buf.Ack(run, it.Last) })
			}
		}
	}
}

// Flash wears by fsyncs: what is acked in time costs none, and what must be
// committed costs one a commit interval and not another for letting it go.
func TestACommitIsWrittenOnlyForReadings(t *testing.T) {
	for _, c := range []struct {
		mode   buffer.Mode
		online bool
		most   int // fsyncs in a minute
	}{
		{buffer.Spill, true, 0},
		{buffer.Spill, false, 65}, // and a merge every sixteen
		{buffer.Always, true, 60},
		{buffer.Always, false, 65},
	} {
		t.Run(fmt.Sprintf("%s,online=%t", c.mode, c.online), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newBench(t, func(cfg *buffer.Config) { cfg.Mode = c.mode })
				defer w.close()
				settle(time.Minute)
				before, bytes := w.disk.Writes()
				w.minute(c.online)
				after, end := w.disk.Writes()
				t.Logf("%d fsyncs and %d bytes a day", (after-before)*24*60, (end-bytes)*24*60)
				if got := after - before; got > c.most {
					t.Fatalf("%d fsyncs in a minute, want at most %d", got, c.most)
				}
				settle(time.Minute)
				if st := w.buf.Stats(); c.online && st.Segments > 0 {
					t.Fatalf("%d acked segments are still there after a minute", st.Segments)
				}
			})
		})
	}
}

// I5: a gate that takes connections and then nothing, for days, must not make
// a run of each: hello has room for so many, and each has schemas and clocks.
func TestALinkThatFlapsForDaysDoesNotFillTheStoreWithRuns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		const times = wire.MaxRuns + 100
		for range times {
			if _, err := w.buf.Connect(); err != nil {
				t.Fatal(err)
			}
			w.sample(1)
			settle(buffer.DefaultCommitInterval)
			w.buf.Disconnect()
		}
		before := w.buf.Stats()
		s := w.drain()
		if n := len(s.Hello.Runs); n > wire.MaxRuns/2 || before.Segments > 600 {
			t.Errorf("%d runs in hello, %d segments", n, before.Segments)
		}
		w.allOnce(1, times)
		settle(time.Minute)
		if st := w.buf.Stats(); st.Frames != 0 {
			t.Fatalf("%d frames are left", st.Frames)
		}
	})
}

// A backlog that drains for an hour must leave the disk meanwhile: otherwise a
// crash sends it all again, and the limit drops what is new.
func TestADrainingBacklogLeavesTheStoreWhileAcksGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		rng := newNoise()
		for range 100 {
			w.noise(rng, 20<<10)
			settle(buffer.DefaultCommitInterval)
		}
		before := w.buf.Stats().Segments
		run := w.connect().Backlog[0]
		items, _ := w.pull(w.buf.Cursor(run))
		for _, it := range items[:len(items)/2] {
			w.buf.Ack(run, it.Last)
			settle(time.Minute / time.Duration(len(items)))
		}
		if st := w.buf.Stats(); st.Segments > before*3/4 {
			t.Fatalf("of %d segments half were acked in half a minute, and %d are left", before, st.Segments)
		}
	})
}

// A large backlog that was drained leaves the store within seconds, though no
// later commit takes it along.
func TestALargeDrainedBacklogLeavesTheStoreWithinSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		rng := newNoise()
		for range 30 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
		}
		run := w.connect().Backlog[0]
		items, _ := w.pull(w.buf.Cursor(run))
		w.buf.Ack(run, items[len(items)-1].Last)
		settle(5 * time.Second)
		if st := w.buf.Stats(); st.Segments != 0 {
			t.Fatalf("%d segments are left 5 s after a drain", st.Segments)
		}
	})
}

// I1: what is acked goes before anything that is not.
func TestAtTheLimitWhatIsAckedGoesFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.Limit, c.MaxMemory = 1<<20, 1<<20 })
		defer w.close()
		rng := newNoise()
		for range 8 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
		}
		if st := w.buf.Stats(); st.Dropped[buffer.DropLimit].Items != 0 {
			t.Fatalf("before: %+v", st)
		}
		run := w.connect().Backlog[0]
		items, _ := w.pull(w.buf.Cursor(run))
		w.buf.Ack(run, items[len(items)/2].Last)
		for range 3 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
		}
		if st := w.buf.Stats(); st.Dropped[buffer.DropLimit].Items != 0 {
			t.Fatalf("dropped %+v with %d bytes stored, although half was acked", st.Dropped, st.StoredBytes)
		}
	})
}

// I5: the uplink keeps a cursor for every run of the backlog; those that are
// through must not hold a segment each.
func TestACursorAtItsEndHoldsNoSegment(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		w.sample(10)
		settle(time.Minute)
		run := w.connect().Backlog[0]
		c := w.buf.Cursor(run)
		items, ended := w.pull(c)
		if len(items) != 1 || !ended {
			t.Fatalf("%d items, ended %t", len(items), ended)
		}
		frame := weak.Make(&items[0].Frame[0])
		items = nil
		runtime.GC()
		if frame.Value() != nil {
			t.Error("the segment read last is still in memory")
		}
		runtime.KeepAlive(c)
	})
}

// A frame may be acked while the plan that commits it waits for its fsync.
func TestAReadingThatIsAckedWhileItIsCommittedCountsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		run := w.connect().Live[0]
		c := w.buf.Cursor(run)
		w.disk.SetLatency(time.Second)
		w.sample(7)
		settle(buffer.DefaultCommitInterval)
		w.send(run, c, true)
		w.disk.SetLatency(0)
		settle(time.Minute)
		if st := w.buf.Stats(); st.Acked != 7 || st.Committed != 7 || st.MemoryBytes != 0 || st.Segments != 0 {
			t.Fatalf("7 readings: %+v", st)
		}
	})
}

// Acked segments stay in the store for a while; their readings count at once.
func TestAReadingOfASegmentCountsAsAckedWithTheAck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		run := w.connect().Live[0]
		c := w.buf.Cursor(run)
		w.sample(7)
		settle(2 * buffer.DefaultCommitInterval)
		if st := w.buf.Stats(); st.Committed != 7 || st.Acked != 0 || st.Safe != 7 {
			t.Fatalf("7 readings, committed: %+v", st)
		}
		w.send(run, c, true)
		if st := w.buf.Stats(); st.Acked != 7 || st.Safe != 7 || st.Segments == 0 {
			t.Fatalf("7 readings, acked just now: %+v", st)
		}
		settle(time.Minute)
		if st := w.buf.Stats(); st.Acked != 7 || st.Segments != 0 {
			t.Fatalf("7 readings, released: %+v", st)
		}
	})
}

// heldStore waits in Get until told to go on, and notices a Close meanwhile.
type heldStore struct {
	*buffertest.Store
	reading, goOn chan struct{}
	inGet         bool
	t             *testing.T
}

func (s *heldStore) Get(key []byte) ([]byte, error) {
	if key[0] == 'f' {
		s.inGet = true
		close(s.reading)
		<-s.goOn
		defer func() { s.inGet = false }()
	}
	return s.Store.Get(key)
}

func (s *heldStore) Close() error {
	if s.inGet {
		s.t.Error("the store was closed under a read")
	}
	return s.Store.Close()
}

// A store that maps its files would end the process.
func TestTheStoreIsClosedAfterTheLastRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.sample(10)
		w.close()
		s, err := w.disk.Open()
		if err != nil {
			t.Fatal(err)
		}
		held := &heldStore{Store: s, reading: make(chan struct{}), goOn: make(chan struct{}), t: t}
		if w.buf, err = buffer.Open(t.Context(), w.cfg, held, quiet, nil); err != nil {
			t.Fatal(err)
		}
		run := w.connect().Backlog[0]
		read := make(chan struct{})
		go func() { defer close(read); _, _ = w.buf.Cursor(run).Next(t.Context()) }()
		<-held.reading
		go func() { settle(time.Second); close(held.goOn) }()
		w.close()
		<-read
	})
}
