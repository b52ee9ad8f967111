package buffer_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// letGo is after how long a run that is done with has left the store.
const letGo = time.Minute

// infoOf returns what a hello says of a run, and whether it names it.
func infoOf(s *buffer.Session, run id.Run) (wire.RunInfo, bool) {
	i := slices.IndexFunc(s.Hello.Runs, func(r wire.RunInfo) bool { return r.Run == run })
	if i < 0 {
		return wire.RunInfo{}, false
	}
	return s.Hello.Runs[i], true
}

// wantGone fails unless a hello names a run as ended at last and acked to there.
func wantGone(t *testing.T, s *buffer.Session, run id.Run, state wire.RunState, last uint64) {
	t.Helper()
	got, ok := infoOf(s, run)
	want := wire.RunInfo{Run: run, Class: wire.Telemetry, Boot: got.Boot, First: last + 1, Last: last, State: state}
	if !ok || got != want {
		t.Fatalf("hello names %+v (%t), want %+v", got, ok, want)
	}
	if slices.Contains(s.Backlog, run) || slices.Contains(s.Live, run) {
		t.Fatal("a run that is gone is on a lane")
	}
}

// I1: a cloud that was restored from before a run hears that it was there.
func TestARunThatLeftTheStoreIsStillNamed(t *testing.T) {
	for name, unclean := range map[string]bool{"closed": false, "unclean": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newBench(t, nil)
				state := wire.RunClosed
				if unclean {
					w.sample(5)
					settle(buffer.DefaultCommitInterval)
					w.crash()
					state = wire.RunUnclean
				} else {
					w.stored()
					w.start()
				}
				s := w.drain()
				run, held := s.Backlog[0], uint64(3)
				if unclean {
					held = 1
				}
				settle(letGo)
				if got := w.buf.Stats().Runs; got != 2 {
					t.Fatalf("%d runs are held, want the open ones", got)
				}
				for _, again := range []func(){func() {}, w.crash, func() { w.close(); w.cfg.Boot = id.Boot{9}; w.start() }} {
					again()
					s := w.connect()
					wantGone(t, &s, run, state, held)
					if boots := s.Hello.Boots; boots[0] != (id.Boot{1}) || boots[len(boots)-1] != w.cfg.Boot {
						t.Fatalf("boots %v: the run's is the first, and this one the last", boots)
					}
					if _, err := wire.ParseHello(helloBytes(s.Hello)); err != nil {
						t.Fatal(err)
					}
				}
				w.close()
			})
		})
	}
}

// I1: frames that were acked in time are in no store.
func TestARunThatEndsSaysWhatWasAckedInTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		for range 4 {
			w.sample(5)
			settle(buffer.DefaultLinger)
			w.send(s.Live[0], c, true)
		}
		w.close()
		w.start()
		defer w.close()
		again := w.connect()
		wantGone(t, &again, s.Live[0], wire.RunClosed, 4)
	})
}

// I5.
func TestTheNamesOfRunsThatAreGoneAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		var ended []id.Run
		for range buffer.MaxGone {
			s := w.drain()
			ended = append(ended, s.Live...)
			w.close()
			w.start()
		}
		s := w.drain()
		settle(letGo)
		for range 2 { // and again as the store has it
			s = w.connect()
			if got := len(s.Hello.Runs); got > buffer.MaxGone+4 {
				t.Fatalf("hello names %d runs", got)
			}
			if _, ok := infoOf(&s, ended[len(ended)-1]); !ok {
				t.Fatal("the last that went is not named")
			}
			if _, ok := infoOf(&s, ended[0]); ok {
				t.Fatal("the first that went is named for ever")
			}
			w.close()
			w.start()
		}
		w.close()
	})
}

// I6.
func TestADamagedRecordOfARunThatIsGoneIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.stored()
		w.start()
		s := w.drain()
		settle(letGo)
		w.close()
		if !w.disk.Damage(func(key []byte) bool { return key[0] == 'g' && id.Run(key[1:]) == s.Backlog[0] }) {
			t.Fatal("nothing was damaged")
		}
		w.start()
		defer w.close()
		again := w.drain()
		if _, ok := infoOf(&again, s.Backlog[0]); ok {
			t.Fatal("hello names what nobody can read")
		}
		w.allOnce(1, 15)
	})
}

// The process ends when a run has left the store, and before the witness knows.
func TestAWitnessThatWasNotToldBringsNoRunBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buffer")
	commit := func(ops func(*buffer.Batch)) {
		t.Helper()
		s, err := buffer.OpenBadger(dir, quiet)
		if err != nil {
			t.Fatal(err)
		}
		var b buffer.Batch
		ops(&b)
		if err := s.Commit(&b); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	record := func(key string) []byte {
		return buffer.Seal([]byte(key), append([]byte{0, 0, 0, 0, 0, 0, 0, 1, byte(wire.Telemetry), byte(wire.RunOpen)}, append(make([]byte, 23), 1, 0, 0, 0, 0, 0, 0, 0, 0)...))
	}
	commit(func(b *buffer.Batch) { b.Put([]byte("r12345678"), record("r12345678")) })
	witness := filepath.Join(dir, "runs")
	before, err := os.ReadFile(witness)
	if err != nil || len(before) == 0 {
		t.Fatalf("the witness holds %d bytes, %v", len(before), err)
	}
	commit(func(b *buffer.Batch) {
		b.Delete([]byte("r12345678"))
		b.Put([]byte("g12345678"), record("g12345678"))
	})
	if err := os.WriteFile(witness, before, 0o600); err != nil {
		t.Fatal(err)
	}
	commit(func(b *buffer.Batch) { b.Put([]byte("b"), []byte{1}) })
	s, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Get([]byte("r12345678")); err == nil {
		t.Error("the run is back")
	}
	if after, err := os.ReadFile(witness); err != nil || len(after) != 0 {
		t.Errorf("the witness holds %d bytes, %v", len(after), err)
	}
}
