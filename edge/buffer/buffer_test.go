package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// bench is a buffer on a disk that survives it, in fake time.
type bench struct {
	t     *testing.T
	disk  *buffertest.Disk
	cfg   buffer.Config
	buf   *buffer.Buffer
	cloud *cloud
	n     int64 // the last row's number
}

func newBench(t *testing.T, change func(*buffer.Config)) *bench {
	t.Helper()
	start := time.Now()
	chacha := rand.NewChaCha8([32]byte{1})
	w := &bench{t: t, disk: buffertest.NewDisk(1), cloud: newCloud(), cfg: buffer.Config{
		Boot: id.Boot{1}, Board: id.Board{2}, Rand: chacha,
		Now: func() time.Duration { return time.Since(start) + time.Hour },
	}}
	if change != nil {
		change(&w.cfg)
	}
	w.start()
	return w
}

func (w *bench) start() {
	w.t.Helper()
	s, err := w.disk.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	w.buf, err = buffer.Open(w.t.Context(), w.cfg, s, quiet, nil)
	if err != nil {
		w.t.Fatal(err)
	}
}

// crash stops the process without a word and starts it again.
func (w *bench) crash() {
	w.t.Helper()
	w.disk.Crash()
	_ = w.buf.Close(context.Background()) // the store refuses: it only ends the goroutines
	w.start()
}

func (w *bench) close() {
	w.t.Helper()
	if err := w.buf.Close(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

var counterBody = wire.Body{Profile: "test.counter", Version: 1, Tick: 1_000_000, Columns: []wire.Column{{Point: "count", Unit: "1", Kind: wire.KindCounter, Mantissa: 1}}}

func device(n int) id.Device { return id.Device{Site: "hq", Name: fmt.Sprintf("c%d", n)} }

func (w *bench) series(n int) *buffer.Series {
	w.t.Helper()
	s, err := w.buf.Series(device(n), counterBody, [32]byte{}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// sample appends n rows to the first series.
func (w *bench) sample(n int) {
	w.t.Helper()
	s := w.series(1)
	for range n {
		w.n++
		if err := s.Append(w.n, 0, []int64{w.n}, 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

// connect begins a connection whose hello arrives.
func (w *bench) connect() buffer.Session {
	w.t.Helper()
	s, err := w.buf.Connect()
	if err != nil {
		w.t.Fatal(err)
	}
	w.buf.Welcomed(s)
	return s
}

// pull returns what a cursor has without waiting, and whether its run ended.
func (w *bench) pull(c *buffer.Cursor) (items []buffer.Item, ended bool) {
	w.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Nanosecond)
		it, err := c.Next(ctx)
		cancel()
		switch {
		case errors.Is(err, io.EOF):
			return items, true
		case errors.Is(err, context.DeadlineExceeded):
			return items, false
		case err != nil:
			w.t.Fatal(err)
		}
		items = append(items, it)
	}
}

// send gives the cloud all that a run has now, and acks it if told to.
func (w *bench) send(run id.Run, c *buffer.Cursor, ack bool) {
	w.t.Helper()
	items, _ := w.pull(c)
	for _, it := range items {
		w.cloud.mustTake(w.t, run, it)
		if ack {
			w.buf.Ack(run, it.Last)
		}
	}
}

// drain sends and acks everything of a new connection.
func (w *bench) drain() buffer.Session {
	w.t.Helper()
	s := w.connect()
	for _, run := range append(s.Backlog, s.Live...) {
		w.send(run, w.buf.Cursor(run), true)
	}
	return s
}

// allOnce fails unless every row from..to was applied exactly once.
func (w *bench) allOnce(from, to int64) {
	w.t.Helper()
	for n := from; n <= to; n++ {
		if got := w.cloud.rows[row{device(1), n}]; got != 1 {
			w.t.Fatalf("row %d was applied %d times", n, got)
		}
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// settle lets d pass and everything that is due then happen.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAFrameIsCutWhenItLingeredAndSentAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		w.sample(3)
		settle(buffer.DefaultLinger - time.Millisecond)
		if items, _ := w.pull(c); len(items) != 0 {
			t.Fatalf("%d frames before the linger ended", len(items))
		}
		settle(time.Millisecond)
		items, _ := w.pull(c)
		if len(items) != 1 || len(items[0].Before) != 2 {
			t.Fatalf("got %d frames, want 1 with a clock and a schema before it", len(items))
		}
		w.cloud.mustTake(t, s.Live[0], items[0])
		w.allOnce(1, 3)
		w.sample(1)
		settle(buffer.DefaultLinger)
		if items, _ := w.pull(c); len(items) != 1 || len(items[0].Before) != 0 {
			t.Fatalf("got %d items, want 1 frame with nothing before it", len(items))
		}
	})
}

func TestWhatIsAckedInTimeNeverTouchesTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		settle(time.Minute)
		before, _ := w.disk.Writes()
		for range 100 {
			w.sample(5)
			settle(buffer.DefaultLinger)
			w.send(s.Live[0], c, true)
			settle(100 * time.Millisecond)
		}
		if after, _ := w.disk.Writes(); after != before {
			t.Fatalf("%d batches were written", after-before)
		}
		w.allOnce(1, 500)
		w.close()
	})
}

// I1: the commit interval is the most that a crash takes.
func TestAnUnackedFrameIsCommittedWithinTheInterval(t *testing.T) {
	for _, online := range []bool{false, true} {
		for _, mode := range []buffer.Mode{buffer.Spill, buffer.Always} {
			t.Run(fmt.Sprintf("%s,online=%t", mode, online), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					w := newBench(t, func(c *buffer.Config) { c.Mode = mode })
					defer w.close()
					if online {
						w.connect()
					}
					w.sample(7)
					settle(buffer.DefaultCommitInterval)
					if got := w.buf.Stats().Committed; got != 7 {
						t.Fatalf("%d readings are committed, want 7", got)
					}
					w.crash()
					s := w.drain()
					w.allOnce(1, 7)
					if got := s.Hello.Runs[0]; got.State != wire.RunUnclean || got.Last == 0 {
						t.Fatalf("hello says %+v", got)
					}
				})
			})
		}
	}
}

func TestAlwaysSendsOnlyWhatIsCommitted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.Mode = buffer.Always })
		defer w.close()
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		w.disk.SetLatency(200 * time.Millisecond)
		w.sample(1)
		settle(buffer.DefaultCommitInterval*3/4 + 199*time.Millisecond)
		if items, _ := w.pull(c); len(items) != 0 {
			t.Fatal("a frame was sent before its fsync ended")
		}
		settle(2 * time.Millisecond)
		w.send(s.Live[0], c, true)
		w.allOnce(1, 1)
		w.disk.SetLatency(0)
	})
}

func TestNoFsyncDelaysSamplingOrLiveFrames(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		w.disk.SetLatency(time.Hour)
		w.sample(1)
		settle(buffer.DefaultCommitInterval) // the committer now waits for an hour
		began := time.Now()
		w.sample(1)
		if took := time.Since(began); took > 0 {
			t.Fatalf("Append waited for %s", took)
		}
		settle(buffer.DefaultLinger)
		w.send(s.Live[0], c, true)
		w.allOnce(1, 2)
		w.disk.SetLatency(0)
	})
}

func TestCloseCommitsAndMarksTheRunClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.sample(10)
		series := w.series(1)
		w.close()
		if err := series.Append(1, 0, []int64{1}, 0); !errors.Is(err, buffer.ErrClosed) {
			t.Fatalf("Append after Close = %v", err)
		}
		w.start()
		s := w.drain()
		defer w.close()
		if got := s.Hello.Runs[0]; got.State != wire.RunClosed || got.First != 1 || got.Last != 1 || len(s.Backlog) != 1 {
			t.Fatalf("hello says %+v, backlog %v", got, s.Backlog)
		}
		w.allOnce(1, 10)
	})
}

func TestHelloSaysFromWhereOnNothingIsAcked(t *testing.T) { // I1: a cloud that lost acked frames must see which
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		run := w.connect().Live[0]
		cursor := w.buf.Cursor(run)
		for range 3 { // acked from memory: none is ever committed
			w.sample(1)
			settle(buffer.DefaultLinger)
			w.send(run, cursor, true)
		}
		w.sample(1)
		settle(buffer.DefaultLinger)
		w.buf.Disconnect()
		if r := w.connect().Hello.Runs[0]; r.First != 4 || r.Last != 0 {
			t.Fatalf("hello says %+v, want 4 as the first without an ack, and none committed", r)
		}
	})
}

func TestReconnectingWithABacklogOpensANewRun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		first := w.connect().Live[0]
		w.sample(1)
		settle(buffer.DefaultLinger)
		w.buf.Disconnect()
		if s := w.connect(); s.Live[0] != first || len(s.Backlog) != 0 || s.Hello.Runs[0].Last != 0 {
			t.Fatalf("a reconnect from memory gave %+v; hello must not name what is not committed", s)
		}
		w.buf.Disconnect()
		w.sample(2)
		settle(buffer.DefaultCommitInterval)
		w.sample(3)
		s := w.connect()
		if s.Live[0] == first || len(s.Backlog) != 1 || s.Backlog[0] != first {
			t.Fatalf("a reconnect with a backlog gave %+v", s)
		}
		if r := s.Hello.Runs; len(r) != 3 || r[0].State != wire.RunClosed || r[0].Last != 3 || r[2].State != wire.RunOpen || r[2].Last != 0 {
			t.Fatalf("hello says %+v", r)
		}
		live := w.buf.Cursor(s.Live[0])
		w.sample(4)
		settle(buffer.DefaultLinger)
		w.send(s.Live[0], live, true) // live does not wait for the backlog
		w.allOnce(7, 10)
		c := w.buf.Cursor(first)
		w.send(first, c, true)
		if _, ended := w.pull(c); !ended {
			t.Fatal("the closed run has no end")
		}
		w.allOnce(1, 10)
	})
}

func TestARunLeavesOnceTheGateKnowsItsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.sample(1)
		w.close()
		w.start()
		defer w.close()
		s, err := w.buf.Connect()
		if err != nil {
			t.Fatal(err)
		}
		w.send(s.Backlog[0], w.buf.Cursor(s.Backlog[0]), true)
		settle(time.Minute)
		if n := w.buf.Stats().Runs; n != 4 {
			t.Fatalf("%d runs; the closed ones left before hello was welcomed", n)
		}
		w.buf.Welcomed(s)
		settle(time.Minute)
		if st := w.buf.Stats(); st.Runs != 2 || st.Segments != 0 {
			t.Fatalf("the closed run is still there: %+v", st)
		}
		if w.disk.Lose(func(key []byte) bool { return (key[0] == 's' || key[0] == 'c') && id.Run(key[1:9]) == s.Backlog[0] }) {
			t.Fatal("the run's schemas or clocks were left behind")
		}
	})
}

// The first commit of many devices has their schemas, and a small segment that
// lies inline beside them, in one batch or in two.
func TestTheFirstCommitOfManyDevicesFitsIntoItsBatches(t *testing.T) {
	body := wire.Body{Profile: "test.wide", Version: 1, Tick: 1_000_000}
	for i := range 8 {
		body.Columns = append(body.Columns, wire.Column{Point: id.Point(fmt.Sprint("point", i)), Unit: "1", Mantissa: 1})
	}
	for n := 50; n <= 250; n++ {
		inBubble(t, func(t *testing.T) {
			w := newBench(t, nil)
			defer w.close()
			for dev := range n {
				s, err := w.buf.Series(device(dev), body, [32]byte{}, 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Append(1, 0, make([]int64, 8), 0); err != nil {
					t.Fatal(err)
				}
			}
			settle(buffer.DefaultCommitInterval)
			if st := w.buf.Stats(); st.WriteErrors > 0 || st.Committed != uint64(8*n) {
				t.Fatalf("%d devices: %d readings are committed, %d errors", n, st.Committed, st.WriteErrors)
			}
		})
	}
}
