package buffer_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestASealedRunIsStillSentAndDrained(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		w.sample(5)
		series := w.series(1)
		if err := w.buf.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := series.Append(1, 0, []int64{1}, 0); !errors.Is(err, buffer.ErrClosed) {
			t.Fatalf("Append after Seal = %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.buf.Drained(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Drained before the ack = %v", err)
		}
		drained := make(chan error, 1)
		go func() { drained <- w.buf.Drained(t.Context()) }()
		items, ended := w.pull(c)
		if len(items) != 1 || !ended {
			t.Fatalf("%d items, ended %t", len(items), ended)
		}
		w.cloud.mustTake(t, s.Live[0], items[0])
		w.buf.Ack(s.Live[0], 1)
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
		w.allOnce(1, 5)
		// A connection after Seal has no live run, and learns that it is closed.
		if s := w.connect(); len(s.Live) != 0 || s.Hello.Runs[0].State != wire.RunClosed {
			t.Fatalf("%+v", s)
		}
		w.close()
	})
}

// A connection may come and go between Seal and Close: hello then still names
// the boot, and there is a run to close.
func TestASealedRunStaysUntilTheProcessEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		s := w.connect()
		w.sample(5)
		if err := w.buf.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.send(s.Live[0], w.buf.Cursor(s.Live[0]), true)
		w.connect()
		settle(time.Minute)
		if h := w.connect().Hello; len(h.Boots) != 1 || len(h.Runs) != 2 || h.Runs[0].State != wire.RunClosed || h.Runs[1].State != wire.RunClosed {
			t.Fatalf("hello after the last ack: %+v", h)
		}
		w.close()
		w.start()
		defer w.close()
		w.connect()
		settle(time.Minute)
		if n := w.buf.Stats().Runs; n != 2 {
			t.Fatalf("%d runs: the closed ones did not leave in the next process", n)
		}
	})
}

// I6.
func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	now := func() time.Duration { return 0 }
	for want, cfg := range map[string]buffer.Config{
		"Now is required":       {},
		"commit interval 1ms":   {Now: now, CommitInterval: time.Millisecond},
		"memory of 1000 bytes":  {Now: now, MaxMemory: 1000},
		"limit of 1000 bytes":   {Now: now, Limit: 1000},
		"linger -1s, reserve 0": {Now: now, Linger: -time.Second, Reserve: 0},
	} {
		if _, err := buffer.Open(t.Context(), cfg, nil, quiet, nil); err == nil || !strings.Contains(err.Error(), want[:10]) {
			t.Errorf("Open = %v, want %q", err, want)
		}
	}
	for s, want := range map[string]bool{"spill": true, "always": true, "": false, "Spill": false} {
		if m, err := buffer.ParseMode(s); (err == nil) != want || err == nil && m.String() != s {
			t.Errorf("ParseMode(%q) = %v, %v", s, m, err)
		}
	}
}

// I5: a hello has room for so many runs; a gateway that starts over and over
// without a link must not fill it.
func TestRunsWithoutFramesAreForgottenBeforeHelloOverflows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.sample(3)
		w.close()
		for range wire.MaxRuns + 5 {
			w.start()
			w.close()
		}
		w.start()
		defer w.close()
		s := w.connect()
		if len(s.Hello.Runs) != wire.MaxRuns || len(s.Backlog) != 1 || len(s.Live) != 2 {
			t.Fatalf("%d runs in hello, backlog %v, live %v", len(s.Hello.Runs), s.Backlog, s.Live)
		}
		h := s.Hello
		h.Min, h.Max = 1, 1
		if _, err := wire.ParseHello(h.Append(nil)); err != nil {
			t.Fatal(err)
		}
		w.send(s.Backlog[0], w.buf.Cursor(s.Backlog[0]), true)
		w.allOnce(1, 3)
		settle(time.Minute)
		if st := w.buf.Stats(); st.Runs != 2 {
			t.Fatalf("%d runs are left", st.Runs)
		}
	})
}

// The record of a run that is forgotten in the start that finds it unclean does
// not come back with the batch that deletes it.
func TestAForgottenRunLeavesNoRecord(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.close()
		store, err := w.disk.Open()
		if err != nil {
			t.Fatal(err)
		}
		for n := range uint64(wire.MaxRuns + 5) { // without frames; the oldest was not closed
			state := wire.RunClosed
			if n == 0 {
				state = wire.RunOpen
			}
			key := binary.BigEndian.AppendUint64([]byte{'r'}, n+1)
			value := append(binary.BigEndian.AppendUint64(nil, n+10), byte(wire.Telemetry), byte(state))
			value = append(value, make([]byte, 16)...)
			value = binary.BigEndian.AppendUint64(value, 1)
			value = binary.BigEndian.AppendUint64(value, 0)
			var b buffer.Batch
			b.Put(key, buffer.Seal(key, value))
			if err := store.Commit(&b); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		w.start()
		defer w.close()
		runs := 0
		s, err := w.buf.Connect()
		if err != nil {
			t.Fatal(err)
		}
		for w.disk.Lose(kind('r')) {
			runs++
		}
		if runs != len(s.Hello.Runs) {
			t.Fatalf("%d records of runs are stored, hello names %d", runs, len(s.Hello.Runs))
		}
	})
}

// I5.
func TestTheQuarantineKeepsTheLatest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		for seq := range uint64(70) {
			w.sample(1)
			settle(buffer.DefaultLinger)
			w.pull(c)
			if err := w.buf.Reject(s.Live[0], seq+1, wire.RejectCRC); err != nil {
				t.Fatal(err)
			}
		}
		if st := w.buf.Stats(); st.Quarantined != 64 || st.Dropped[buffer.DropRejected].Items != 70 {
			t.Fatalf("%+v", st)
		}
		if w.disk.Lose(func(key []byte) bool { return key[0] == 'q' && key[16] <= 6 }) {
			t.Fatal("the oldest is still in quarantine")
		}
	})
}

func TestAnOlderBootComesFirstInHello(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		for i := byte(5); i > 0; i-- { // the order is that of the starts, not of the names
			w.sample(1)
			settle(buffer.DefaultCommitInterval)
			w.close()
			w.cfg.Boot = id.Boot{i + 10}
			w.start()
		}
		defer w.close()
		h := w.connect().Hello
		if len(h.Boots) != 6 || h.Boots[0] != (id.Boot{1}) || h.Boots[1] != (id.Boot{15}) || h.Boots[5] != (id.Boot{11}) {
			t.Fatalf("boots %v", h.Boots)
		}
		for i, r := range h.Runs {
			if r.Boot != i/2 { // a run of each class
				t.Fatalf("run %d has boot %d", i, r.Boot)
			}
		}
	})
}
