package buffer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// event appends n events to the first series of events.
func (w *bench) event(n int) {
	w.t.Helper()
	s, err := w.buf.EventSeries(event(0), counterBody, [32]byte{})
	if err != nil {
		w.t.Fatal(err)
	}
	for range n {
		w.n++
		if err := s.Append(w.n, 0, []int64{w.n}, 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

// I1: an event does not wait for the commit interval, and a crash after it
// leaves the readings that led to it.
func TestAnEventIsCommittedAtOnceWithWhatWasSampledBefore(t *testing.T) {
	for _, online := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			w := newBench(t, nil)
			if online {
				w.connect()
			}
			w.sample(5)
			w.event(1)
			settle(0)
			if st := w.buf.Stats(); st.Committed != 6 {
				t.Errorf("online %t: %d readings are committed, want 6", online, st.Committed)
			}
			w.crash()
			defer w.close()
			w.drain()
			w.allOnce(1, 5)
			if w.cloud.rows[row{event(0), 6}] != 1 {
				t.Errorf("online %t: the event is lost", online)
			}
		})
	}
}

func TestAnEventIsSentInARunOfItsOwnAndBeforeTheBacklogOfTelemetry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		s := w.connect()
		if len(s.Live) != 2 || s.Hello.Runs[0].Class != wire.Telemetry || s.Hello.Runs[1].Class != wire.Events || s.Live[1] != s.Hello.Runs[1].Run {
			t.Fatalf("hello %+v, live %v", s.Hello.Runs, s.Live)
		}
		w.sample(3)
		w.event(1)
		settle(0)
		w.send(s.Live[1], w.buf.Cursor(s.Live[1]), true)
		if w.cloud.rows[row{event(0), 4}] != 1 || len(w.cloud.rows) != 1 {
			t.Fatalf("rows %v, want the event alone", w.cloud.rows)
		}
		w.event(1)
		w.buf.Disconnect()
		settle(time.Second)
		again := w.connect()
		if len(again.Backlog) != 2 || again.Backlog[0] != s.Live[1] || again.Backlog[1] != s.Live[0] {
			t.Fatalf("backlog %v of %v, want the events first", again.Backlog, s.Live)
		}
		for _, run := range again.Backlog {
			w.send(run, w.buf.Cursor(run), true)
		}
		w.allOnce(1, 3)
		if w.cloud.rows[row{event(0), 5}] != 1 {
			t.Fatal("the event of the outage is lost")
		}
	})
}

// I5: each class drops its own oldest segments.
func TestAFloodOfOneClassDropsNothingOfTheOther(t *testing.T) {
	small := func(c *buffer.Config) { c.Limit, c.EventLimit, c.MaxMemory = 1<<20, 1<<20, 768<<10 }
	t.Run("telemetry", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			w := newBench(t, small)
			defer w.close()
			w.event(20)
			settle(time.Second)
			rng := newNoise()
			for range 40 {
				w.noise(rng, 100<<10)
				settle(buffer.DefaultCommitInterval)
			}
			st := w.buf.Stats()
			if st.Dropped[buffer.DropLimit].Readings == 0 || st.DroppedEvents != 0 {
				t.Fatalf("dropped %+v, events %d", st.Dropped, st.DroppedEvents)
			}
			w.drainNoise()
			if got := w.events(); got != 20 {
				t.Fatalf("%d events arrived, want 20", got)
			}
		})
	})
	t.Run("events", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			w := newBench(t, small)
			defer w.close()
			w.sample(20)
			settle(time.Second)
			for range 300 {
				w.event(100)
				settle(10 * time.Millisecond)
			}
			st := w.buf.Stats()
			if d := st.Dropped[buffer.DropLimit].Readings; d == 0 || d != st.DroppedEvents {
				t.Fatalf("dropped %+v, events %d", st.Dropped, st.DroppedEvents)
			}
			if st.EventBytes > w.cfg.EventLimit {
				t.Fatalf("%d bytes of events, the limit is %d", st.EventBytes, w.cfg.EventLimit)
			}
			w.drain()
			w.allOnce(1, 20)
			if got := uint64(w.events()) + w.cloud.readings(); got != 30_000 {
				t.Fatalf("the cloud knows of %d events, 30000 were appended", got)
			}
		})
	})
}

// events counts the events that arrived.
func (w *bench) events() (n int) {
	for i := range w.cloud.frames {
		f := &w.cloud.frames[i]
		if w.cloud.schemas[fmt.Sprint(f.Run, f.Blocks[0].SID)].Device == event(0) {
			n += f.Blocks[0].N
		}
	}
	return n
}

// I5: with a store that hangs, the memory's oldest telemetry gives way, and
// events only once they take more than their share.
func TestAHangingStoreCostsTelemetryBeforeEvents(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.MaxMemory = 1 << 20 })
		defer w.close()
		w.disk.SetLatency(time.Hour)
		w.event(1) // the committer now waits for an hour
		settle(time.Second)
		w.event(100)
		rng := newNoise()
		for range 40 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
		}
		st := w.buf.Stats()
		if st.Dropped[buffer.DropMemory].Readings == 0 || st.DroppedEvents != 0 {
			t.Fatalf("dropped %+v, events %d", st.Dropped, st.DroppedEvents)
		}
		w.event(20_000)
		if st := w.buf.Stats(); st.DroppedEvents == 0 || st.MemoryBytes > w.cfg.MaxMemory {
			t.Fatalf("a flood of events: dropped %d, memory %d", st.DroppedEvents, st.MemoryBytes)
		}
		w.disk.SetLatency(0)
	})
}

// The class of a run is known from its segments when its record is lost.
func TestARunOfEventsStaysOneWithoutItsRecord(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.event(3)
		settle(time.Second)
		run := w.connect().Backlog[0]
		w.close()
		if !w.disk.Lose(func(key []byte) bool { return key[0] == 'r' && id.Run(key[1:]) == run }) {
			t.Fatal("no record to lose")
		}
		w.start()
		defer w.close()
		for _, r := range w.connect().Hello.Runs {
			if r.Run == run {
				if r.Class != wire.Events {
					t.Fatalf("the run is of class %s", r.Class)
				}
				return
			}
		}
		t.Fatal("the run is gone")
	})
}
