package buffer_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// The more presses, the higher the level; it is left only when what presses has
// gone back by more than a commit's worth.
func TestPressureFollowsWhatPresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := buffer.Pressure(rapid.IntRange(0, 3).Draw(t, "before"))
		limit, memory, reserve := rapid.IntRange(0, 100).Draw(t, "limit"), rapid.IntRange(0, 100).Draw(t, "memory"), rapid.IntRange(0, 100).Draw(t, "reserve")
		starved, spent := rapid.Bool().Draw(t, "starved"), rapid.Bool().Draw(t, "spent")
		got := buffer.PressureOf(limit, memory, reserve, starved, spent, before)
		least, most := buffer.PressureNone, buffer.PressureNone
		for level, at := range map[buffer.Pressure]int{buffer.PressureLow: 70, buffer.PressureHigh: 85, buffer.PressureHighest: 95} {
			if full := max(limit, memory, reserve); full >= at {
				least = max(least, level)
			} else if level <= before && full >= at-5 {
				most = max(most, level)
			}
		}
		most = max(least, most)
		if starved {
			least, most = max(least, buffer.PressureLow), max(most, buffer.PressureLow)
		}
		if spent {
			least, most = buffer.PressureHighest, buffer.PressureHighest
		}
		if got < least || got > most {
			t.Fatalf("level %s, want %s to %s", got, least, most)
		}
	})
}

func (w *bench) pressure(want buffer.Pressure, when string) {
	w.t.Helper()
	if got := w.buf.Pressure(); got != want {
		w.t.Errorf("%s the pressure is %s, want %s", when, got, want)
	}
}

func TestPressureRisesBeforeTheLimitDropsAnythingAndFallsWithTheDrain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.Limit, c.MaxMemory = 8<<20, 1<<20 })
		defer w.close()
		rng := newNoise()
		fill := func(to int64) {
			for w.buf.Stats().StoredBytes < to {
				w.noise(rng, 100<<10)
				settle(buffer.DefaultCommitInterval)
			}
		}
		w.pressure(buffer.PressureNone, "at the start")
		fill(6 << 20)
		w.pressure(buffer.PressureLow, "at three quarters")
		fill(7 << 20)
		w.pressure(buffer.PressureHigh, "at seven eighths")
		if d := w.buf.Stats().Dropped[buffer.DropLimit]; d.Items != 0 {
			t.Fatalf("dropped %+v", d)
		}
		fill(7<<20 + 3<<18)
		w.pressure(buffer.PressureHighest, "before the limit")
		w.drainNoise()
		settle(time.Minute)
		w.pressure(buffer.PressureNone, "after the drain")
	})
}

func TestWhatPressesFromOutside(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.MaxMemory = 1 << 20 })
		defer w.close()
		w.buf.SetStarved(true)
		w.pressure(buffer.PressureLow, "without credit")
		w.buf.SetStarved(false)
		w.pressure(buffer.PressureNone, "with credit again")
		w.disk.SetFree(buffer.DefaultReserve + 100<<10)
		settle(time.Minute)
		w.pressure(buffer.PressureHighest, "close to the reserve")
		w.disk.SetFree(1 << 40)
		settle(time.Minute)
		w.pressure(buffer.PressureNone, "with free space again")
		w.disk.SetLatency(time.Hour)
		rng := newNoise()
		for range 15 {
			w.noise(rng, 100<<10)
			settle(buffer.DefaultCommitInterval)
		}
		w.pressure(buffer.PressureHighest, "with memory full behind a store that hangs")
		w.disk.SetLatency(0)
		settle(2 * time.Hour)
	})
}

// Wear: the budget is of a day in which the gateway runs, whatever restarts.
func TestTheWriteBudgetOutlivesARestartAndEndsWithItsDay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var written atomic.Int64
		var unreadable atomic.Bool
		w := newBench(t, func(c *buffer.Config) {
			c.WriteBudget = 1 << 20
			c.Written = func() (int64, error) {
				if unreadable.Load() {
					return 0, errors.New("no /proc")
				}
				return written.Load(), nil
			}
		})
		written.Store(600 << 10)
		settle(12 * time.Hour)
		w.pressure(buffer.PressureNone, "below the budget")
		w.close()
		written.Store(0) // of a new process
		w.start()
		written.Store(500 << 10)
		settle(time.Minute)
		w.pressure(buffer.PressureHighest, "above the budget, in two processes,")
		if st := w.buf.Stats(); st.SpentBytes != 1100<<10 {
			t.Errorf("%d bytes are spent", st.SpentBytes)
		}
		settle(61 * time.Minute) // it is written down so often
		written.Store(0)
		w.crash()
		settle(10 * time.Hour)
		w.pressure(buffer.PressureHighest, "before the day's end")
		settle(2 * time.Hour)
		w.pressure(buffer.PressureNone, "on the next day")
		unreadable.Store(true)
		written.Store(1 << 40)
		settle(time.Minute)
		w.pressure(buffer.PressureNone, "when nobody can tell")
		unreadable.Store(false)
		w.close()
	})
}

func TestTheKernelTellsWhatTheProcessWrote(t *testing.T) {
	before, err := buffer.ProcessWritten()
	if err != nil {
		if strings.Contains(err.Error(), "/proc") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	if before < 0 {
		t.Fatalf("%d bytes", before)
	}
}
