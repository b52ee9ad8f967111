package buffer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func kind(k byte) func([]byte) bool { return func(key []byte) bool { return key[0] == k } }

// stored leaves three segments of five rows in a closed run.
func (w *bench) stored() {
	w.t.Helper()
	for range 3 {
		w.sample(5)
		settle(buffer.DefaultCommitInterval)
	}
	w.close()
}

// I1: what storage damages lies in a gap, and the rest goes on.
func TestADamagedSegmentBecomesAGap(t *testing.T) {
	for name, harm := range map[string]func(*bench) bool{
		"a flipped bit":  func(w *bench) bool { return w.disk.Damage(kind('f')) },
		"a lost segment": func(w *bench) bool { return w.disk.Lose(kind('f')) },
		"a lost last segment": func(w *bench) bool {
			return w.disk.Lose(func(key []byte) bool { return key[0] == 'f' && key[16] == 3 })
		},
		"a schema with a bit less": func(w *bench) bool { return w.disk.Damage(kind('s')) },
		"a lost clock":             func(w *bench) bool { return w.disk.Lose(kind('c')) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newBench(t, nil)
				w.stored()
				if !harm(w) {
					t.Fatal("nothing was harmed")
				}
				w.start()
				defer w.close()
				w.sample(5)
				settle(buffer.DefaultCommitInterval)
				w.drain()
				lost := 0
				for n := range int64(15) {
					if w.cloud.rows[row{device(1), n + 1}] == 0 {
						lost++
					}
				}
				covered := uint64(0)
				for _, g := range w.cloud.gaps {
					if g.Reason != wire.GapCorrupt {
						t.Errorf("gap %+v", g)
					}
					covered += g.B - g.A + 1
				}
				if covered == 0 || lost != int(covered)*5 {
					t.Errorf("%d rows are missing, gaps cover %d frames of 5", lost, covered)
				}
				if d := w.buf.Stats().Dropped[buffer.DropCorrupt]; d.Items != uint64(len(w.cloud.gaps)) {
					t.Errorf("counted %+v for %d gaps", d, len(w.cloud.gaps))
				}
				w.allOnce(16, 20)
			})
		})
	}
}

func TestADamagedRecordOfARunCostsNoReading(t *testing.T) {
	for name, harm := range map[string]func(*bench) bool{
		"damaged": func(w *bench) bool { return w.disk.Damage(kind('r')) },
		"lost":    func(w *bench) bool { return w.disk.Lose(kind('r')) },
		"head":    func(w *bench) bool { return w.disk.Damage(kind('m')) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newBench(t, nil)
				w.stored()
				if !harm(w) {
					t.Fatal("nothing was harmed")
				}
				w.cfg.Boot = id.Boot{9}
				w.start()
				defer w.close()
				s := w.drain()
				w.allOnce(1, 15)
				if h := s.Hello; len(h.Boots) != 2 || h.Boots[0] != (id.Boot{1}) || h.Runs[0].Boot != 0 {
					t.Errorf("boots %v, runs %+v: the run's boot stands in its clock", h.Boots, h.Runs)
				}
			})
		})
	}
}

// I6.
func TestAStoreOfAnotherFormatIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.close()
		s, err := w.disk.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		w.disk.Lose(kind('m'))
		var b buffer.Batch
		b.Put([]byte("m"), buffer.Seal([]byte("m"), []byte{2}))
		if err := s.Commit(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := buffer.Open(t.Context(), w.cfg, s, quiet, nil); err == nil || !strings.Contains(err.Error(), "format 02") {
			t.Fatalf("Open = %v", err)
		}
	})
}

func TestARejectedFrameGoesToQuarantineAndAGapTakesItsPlace(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			w := newBench(t, nil)
			s := w.connect()
			for range 3 {
				w.sample(2)
				settle(buffer.DefaultLinger)
			}
			if restart {
				w.close()
				w.start()
				s = w.connect()
				s.Live = s.Backlog
			}
			defer w.close()
			run := s.Live[0]
			c := w.buf.Cursor(run)
			items, _ := w.pull(c)
			if len(items) != 3 {
				t.Fatalf("%d frames", len(items))
			}
			w.cloud.mustTake(t, run, items[0])
			if err := w.buf.Reject(run, 2, wire.RejectMalformed); err != nil {
				t.Fatal(err)
			}
			if err := w.buf.Reject(run, 2, wire.RejectMalformed); err == nil {
				t.Fatal("a gap was rejected without an error: that would never end")
			}
			if err := w.buf.Reject(id.Run{1}, 2, wire.RejectMalformed); err == nil {
				t.Fatal("a frame of an unknown run was rejected")
			}
			c.Rewind(2, false)
			w.send(run, c, true)
			if g := w.cloud.gaps; len(g) != 1 || g[0].A != 2 || g[0].B != 2 || g[0].Reason != wire.GapRejected || g[0].Readings != 2 {
				t.Fatalf("gaps %+v", g)
			}
			w.allOnce(1, 2)
			w.allOnce(5, 6)
			if st := w.buf.Stats(); st.Quarantined != 1 || st.Dropped[buffer.DropRejected].Readings != 2 || st.Dropped[buffer.DropRejected].Items != 1 {
				t.Fatalf("%+v", st)
			}
			settle(buffer.DefaultCommitInterval)
			w.crash()
			if st := w.buf.Stats(); st.Quarantined != 1 {
				t.Fatal("the quarantine did not survive")
			}
		})
	}
}

// A sid is never redefined, neither by a new profile nor after it comes back.
func TestAChangedSeriesHasANewSid(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		for i := range 4 {
			series, err := w.buf.Series(device(1), counterBody, [32]byte{byte(i % 2)}, 0)
			if err != nil {
				t.Fatal(err)
			}
			w.n++
			if err := series.Append(w.n, 0, []int64{w.n}, 0); err != nil {
				t.Fatal(err)
			}
			settle(buffer.DefaultLinger)
		}
		w.send(s.Live[0], c, true) // the cloud refuses what is redefined
		w.allOnce(1, 4)
		if len(w.cloud.schemas) != 2 {
			t.Fatalf("%d sids, want 2", len(w.cloud.schemas))
		}
	})
}

func TestAClockChangeCutsTheFrame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		s := w.connect()
		w.sample(1)
		w.buf.SetClock(1000, 5, wire.ClockSystem)
		w.sample(1)
		w.buf.SetClock(1000, 5, wire.ClockSystem) // nothing new
		w.sample(1)
		settle(buffer.DefaultLinger)
		w.send(s.Live[0], w.buf.Cursor(s.Live[0]), true)
		if f := w.cloud.frames; len(f) != 2 || f[0].Clk != 1 || f[1].Clk != 2 || f[1].Blocks[0].N != 2 {
			t.Fatalf("frames %+v", f)
		}
	})
}

// I4: the cloud knows the time before it puts rows anywhere.
func TestRowsFromBeforeTheTimeWasKnownGoBehindTheClock(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		w.sample(1)
		settle(buffer.DefaultLinger)
		s := w.connect()
		w.buf.SetClock(1000, 5, wire.ClockWelcome)
		cursor := w.buf.Cursor(s.Live[0])
		first, err := cursor.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var told []wire.Clock
		for _, msg := range first.Before {
			if c, err := wire.ParseClock(msg); err == nil {
				told = append(told, c)
			}
		}
		if len(told) != 2 || told[1].Clk != 2 || told[1].Source != wire.ClockWelcome || told[1].UTC0 != 1000 {
			t.Errorf("ahead of the first frame: %+v, want its own clock and the one in force", told)
		}
		w.sample(1)
		settle(buffer.DefaultLinger)
		second, err := cursor.Next(t.Context())
		if err != nil || len(second.Before) != 0 {
			t.Errorf("the second frame, of that clock, has %d messages ahead of it, %v", len(second.Before), err)
		}
	})
}

// I1: the oldest comes first, and closing a run with more in memory than one
// batch takes is still all or, after a crash in between, a prefix.
func TestClosingMoreThanOneBatchHoldsLeavesAPrefix(t *testing.T) {
	for at := range 9 {
		inBubble(t, func(t *testing.T) {
			w := newBench(t, func(c *buffer.Config) { c.MaxMemory = 32 << 20 })
			w.disk.SetLatency(buffer.DefaultCommitInterval * 100)
			rng := newNoise()
			for range 60 {
				w.noise(rng, 100<<10)
				settle(buffer.DefaultCommitInterval / 4)
			}
			w.disk.SetLatency(0)
			w.disk.CrashAt(1 + at)
			err := w.buf.Close(context.Background())
			if (err != nil) != w.disk.Crashed() {
				t.Fatalf("Close = %v, crashed %t", err, w.disk.Crashed())
			}
			if err != nil {
				w.disk.Crash()
			}
			w.disk.CrashAt(0)
			w.start()
			defer w.close()
			s := w.connect()
			if want := map[bool]wire.RunState{true: wire.RunUnclean, false: wire.RunClosed}[err != nil]; s.Hello.Runs[0].State != want && at%3 != 2 {
				t.Fatalf("step %d: the run is %s, want %s", at, s.Hello.Runs[0].State, want)
			}
			run := s.Hello.Runs[0]
			items, _ := w.pull(w.buf.Cursor(run.Run))
			next := uint64(1)
			for _, it := range items {
				if it.First != next {
					t.Fatalf("frame %d where %d is next", it.First, next)
				}
				next = it.Last + 1
			}
			if next != run.Last+1 {
				t.Fatalf("the run ends at %d, hello says %d", next-1, run.Last)
			}
		})
	}
}
