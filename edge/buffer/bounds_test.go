package buffer_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func newNoise() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }

// noise appends rows that do not compress, size bytes or a little more.
func (w *bench) noise(rng *rand.Rand, size int) {
	w.t.Helper()
	body := wire.Body{Profile: "test.noise", Version: 1, Tick: 1_000_000}
	for i := range 8 {
		body.Columns = append(body.Columns, wire.Column{Point: id.Point("p" + string(rune('a'+i))), Unit: "1", Mantissa: 1})
	}
	s, err := w.buf.Series(device(99), body, [32]byte{}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	v := make([]int64, 8)
	for sent := 0; sent < size; sent += 8 * len(v) {
		for i := range v {
			v[i] = int64(rng.Uint64())
		}
		w.n++
		if err := s.Append(w.n, 0, v, 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

// total is what the cloud knows of, in readings: applied or in gaps.
func (w *bench) total() uint64 {
	n := w.cloud.readings()
	for _, f := range w.cloud.frames {
		for i := range f.Blocks {
			n += uint64(f.Blocks[i].N) * 8 // noise has 8 points
		}
	}
	return n
}

// I5, I1: the limit holds, and what it costs stands in the gaps to the reading.
func TestBeyondTheLimitTheOldestBecomeOneGap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.Limit, c.MaxMemory = 1<<20, 768<<10 })
		defer w.close()
		rng := newNoise()
		for range 40 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
			if st := w.buf.Stats(); st.StoredBytes > w.cfg.Limit {
				t.Fatalf("the store holds %d bytes, the limit is %d", st.StoredBytes, w.cfg.Limit)
			}
		}
		st := w.buf.Stats()
		if d := st.Dropped[buffer.DropLimit]; d.Readings == 0 || st.Segments > 40 {
			t.Fatalf("dropped %+v, %d segments are left", d, st.Segments)
		}
		w.drainNoise()
		if len(w.cloud.gaps) != 1 || w.cloud.gaps[0].Reason != wire.GapQuota || w.cloud.gaps[0].TLast <= w.cloud.gaps[0].TFirst {
			t.Fatalf("gaps %+v, want one of reason quota over all that was dropped", w.cloud.gaps)
		}
		if got := w.total(); got != st.Sampled {
			t.Fatalf("the cloud knows of %d readings, %d were sampled", got, st.Sampled)
		}
	})
}

// drainNoise is drain for frames that cloud.apply need not look into.
func (w *bench) drainNoise() {
	w.t.Helper()
	s := w.connect()
	for _, run := range append(s.Backlog, s.Live...) {
		items, _ := w.pull(w.buf.Cursor(run))
		for _, it := range items {
			for _, msg := range it.Before {
				if err := w.cloud.define(run, msg); err != nil {
					w.t.Fatal(err)
				}
			}
			if g, err := wire.ParseGap(it.Frame); err == nil {
				w.cloud.gaps = append(w.cloud.gaps, g)
			} else if f, err := wire.ParseFrame(it.Frame); err == nil {
				w.cloud.frames = append(w.cloud.frames, f)
			} else {
				w.t.Fatal(err)
			}
			w.buf.Ack(run, it.Last)
		}
	}
}

// I1: a segment's deletion and the gap in its place are one batch. A crash
// between them would leave a hole whose readings nobody can count.
func TestACrashWhileDroppingCostsNoCount(t *testing.T) {
	for step := 1; ; step++ {
		crashed := false
		inBubble(t, func(t *testing.T) {
			w := newBench(t, func(c *buffer.Config) { c.Limit, c.MaxMemory = 1<<20, 768<<10 })
			rng := newNoise()
			for range 9 {
				w.noise(rng, 100<<10)
				settle(buffer.DefaultCommitInterval)
			}
			committed := w.buf.Stats().Sampled
			w.disk.CrashAt(step)
			w.noise(rng, 200<<10)
			settle(time.Second / 2)
			crashed = w.disk.Crashed()
			w.disk.CrashAt(0)
			if crashed {
				_ = w.buf.Close(context.Background()) // the store refuses: it only ends the goroutines
				w.start()
			}
			defer w.close()
			w.drainNoise()
			if got := w.total(); got < committed {
				t.Errorf("crash at step %d: the cloud knows of %d readings, %d were committed", step, got, committed)
			}
			if len(w.cloud.gaps) == 0 && !crashed {
				t.Error("nothing was dropped")
			}
		})
		if !crashed {
			return
		}
	}
}

// An item that may have reached the gate does not change.
func TestAGapThatWasSentDoesNotGrow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.Limit, c.MaxMemory = 1<<20, 768<<10 })
		defer w.close()
		rng := newNoise()
		fill := func() {
			for range 15 {
				w.noise(rng, 100<<10)
				settle(buffer.DefaultCommitInterval)
			}
		}
		fill()
		s := w.connect()
		c := w.buf.Cursor(s.Backlog[0])
		sent, err := c.Next(t.Context())
		if err != nil || sent.Last == sent.First {
			t.Fatalf("the first item is %d..%d, %v, want a gap", sent.First, sent.Last, err)
		}
		w.buf.Disconnect()
		fill()
		w.connect()
		again, err := w.buf.Cursor(s.Backlog[0]).Next(t.Context())
		if err != nil || string(again.Frame) != string(sent.Frame) {
			t.Fatalf("the gap %d..%d became %d..%d, %v", sent.First, sent.Last, again.First, again.Last, err)
		}
	})
}

// I5: a store that hangs costs the oldest readings, never more memory.
func TestMemoryIsBoundedWhileTheStoreHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.MaxMemory = 1 << 20 })
		defer w.close()
		w.disk.SetLatency(time.Hour)
		rng := newNoise()
		for range 60 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
			if st := w.buf.Stats(); st.MemoryBytes > w.cfg.MaxMemory {
				t.Fatalf("%d bytes are in memory, the bound is %d", st.MemoryBytes, w.cfg.MaxMemory)
			}
		}
		w.disk.SetLatency(0)
		settle(2 * time.Hour)
		st := w.buf.Stats()
		if st.Dropped[buffer.DropMemory].Readings == 0 || st.MemoryBytes != 0 {
			t.Fatalf("dropped %+v, %d bytes in memory", st.Dropped, st.MemoryBytes)
		}
		w.drainNoise()
		if got := w.total(); got != st.Sampled || len(w.cloud.gaps) != 1 {
			t.Fatalf("the cloud knows of %d readings, %d were sampled; gaps %+v", got, st.Sampled, w.cloud.gaps)
		}
	})
}

// I5: a full file system is SIGBUS in a store that maps its files.
func TestNothingIsWrittenBelowTheReserve(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		w.sample(5)
		settle(buffer.DefaultCommitInterval)
		w.disk.SetFree(buffer.DefaultReserve)
		settle(time.Minute)
		w.sample(5)
		settle(time.Minute)
		st := w.buf.Stats()
		if st.Committed != 5 || st.Dropped[buffer.DropReserve].Readings != 5 || st.MemoryBytes == 0 {
			t.Fatalf("at the reserve: %+v", st)
		}
		// The link still empties it.
		w.drain()
		settle(time.Second)
		if st := w.buf.Stats(); st.Frames != 0 || st.MemoryBytes != 0 || len(w.cloud.gaps) != 1 || w.cloud.gaps[0].Readings != 5 {
			t.Fatalf("after the drain: %+v, gaps %+v", st, w.cloud.gaps)
		}
		w.allOnce(6, 10)
		w.disk.SetFree(1 << 40)
	})
}

// Columns that suddenly compress far worse than foreseen still make frames
// within the protocol's limit, with every row once.
func TestAFrameNeverExceedsTheProtocol(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		for range 30 { // constant columns: the density falls
			for range 500 {
				w.constant()
			}
			settle(buffer.DefaultCommitInterval)
		}
		w.noise(newNoise(), 700<<10)
		settle(buffer.DefaultCommitInterval)
		st := w.buf.Stats()
		w.drainNoise()
		largest, rows := 0, 0
		for _, f := range w.cloud.frames {
			largest = max(largest, len(f.Append(nil)))
			for i := range f.Blocks {
				rows += f.Blocks[i].N
			}
		}
		if largest > wire.MaxFrame || largest < wire.MaxFrame/4 || uint64(rows*8) != st.Sampled {
			t.Fatalf("the largest frame has %d bytes; %d rows of %d arrived", largest, rows, st.Sampled/8)
		}
	})
}

// I5: what a long outage leaves is bounded by bytes, not by the number of
// commits, and stays complete.
func TestSmallSegmentsOfAnOutageAreMerged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		for range 1000 {
			w.sample(10)
			settle(buffer.DefaultCommitInterval)
		}
		st := w.buf.Stats()
		if st.Segments > 100 || st.Merges == 0 || st.Readings != 10_000 {
			t.Fatalf("1000 commits left %d segments after %d merges, with %d readings", st.Segments, st.Merges, st.Readings)
		}
		if batches, _ := w.disk.Writes(); batches > 1100 {
			t.Fatalf("%d batches were written", batches)
		}
		w.crash()
		defer w.close()
		w.drain()
		w.allOnce(1, 10_000)
		if len(w.cloud.frames) != 1000 || len(w.cloud.gaps) != 0 {
			t.Fatalf("%d frames, gaps %+v", len(w.cloud.frames), w.cloud.gaps)
		}
	})
}

func (w *bench) constant() {
	w.t.Helper()
	body := wire.Body{Profile: "test.noise", Version: 1, Tick: 1_000_000}
	for i := range 8 {
		body.Columns = append(body.Columns, wire.Column{Point: id.Point("p" + string(rune('a'+i))), Unit: "1", Mantissa: 1})
	}
	s, err := w.buf.Series(device(99), body, [32]byte{}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.n++
	if err := s.Append(w.n, 0, make([]int64, 8), 0); err != nil {
		w.t.Fatal(err)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		s := w.series(1)
		v := []int64{7}
		for range 2 { // the columns reach their size
			for range 2000 {
				if err := s.Append(1, 0, v, 0); err != nil {
					t.Fatal(err)
				}
			}
			settle(buffer.DefaultCommitInterval)
		}
		tick := int64(0)
		if n := testing.AllocsPerRun(1000, func() {
			tick++
			if err := s.Append(tick, 0, v, 0); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Fatalf("Append allocates %v times", n)
		}
	})
}

func TestMetricsTellDepthAndDrops(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		w := newBench(t, nil)
		w.close()
		s, err := w.disk.Open()
		if err != nil {
			t.Fatal(err)
		}
		if w.buf, err = buffer.Open(t.Context(), w.cfg, s, quiet, reg); err != nil {
			t.Fatal(err)
		}
		defer w.close()
		w.sample(4)
		settle(buffer.DefaultCommitInterval)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			m := f.GetMetric()[0]
			got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
		for name, want := range map[string]float64{
			"atrium_buffer_sampled_readings_total": 4, "atrium_buffer_depth_readings": 4, "atrium_buffer_depth_frames": 1,
			"atrium_buffer_commits_total": 1, "atrium_buffer_segments": 1, "atrium_buffer_runs": 4, "atrium_buffer_dropped_items_total": 0,
		} {
			if v, ok := got[name]; !ok || v != want {
				t.Errorf("%s = %v (%t), want %v", name, v, ok, want)
			}
		}
	})
}
