package device

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/wire"
)

// The scenarios in testdata/step say which samples become rows. "new" makes a
// device; each line of "run" is one event, answered by its effects:
//
//	tick 3s | sample 100 200 | sample 100!bad 200 keep=2 | fail keep=2 | unread | refuse | order | done | stop
func TestStep(t *testing.T) {
	datadriven.Walk(t, "testdata/step", func(t *testing.T, path string) {
		var s *State
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				s = NewState(parseRules(t, d))
				return ""
			case "run":
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					line = strings.TrimSpace(line)
					fmt.Fprintf(&out, "%s: %s\n", line, describe(s.Step(parseInput(t, line))))
				}
				return out.String()
			}
			t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
			return ""
		})
	})
}

func parseRules(t *testing.T, d *datadriven.TestData) Rules {
	t.Helper()
	r := Rules{}
	var every, heartbeat string
	d.ScanArgs(t, "every", &every)
	d.ScanArgs(t, "heartbeat", &heartbeat)
	if !d.HasArg("deadband") {
		t.Fatalf("%s: no deadband", d.Pos)
	}
	r.Every, r.Heartbeat = duration(t, every), duration(t, heartbeat)
	arg, _ := d.Arg("deadband")
	for _, v := range arg.Vals {
		r.Deadband = append(r.Deadband, number(t, v))
		r.Boolean = append(r.Boolean, false)
	}
	if d.HasArg("boolean") {
		var point int
		d.ScanArgs(t, "boolean", &point)
		r.Boolean[point] = true
	}
	return r
}

var qualities = map[string]wire.Quality{"out": wire.OutOfRange, "bad": wire.Bad}

func parseInput(t *testing.T, line string) Input {
	t.Helper()
	f := strings.Fields(line)
	switch f[0] {
	case "tick":
		return Input{Event: Tick, Due: duration(t, f[1])}
	case "sample":
		in := Input{Event: Sampled}
		for i, w := range f[1:] {
			if keep, ok := strings.CutPrefix(w, "keep="); ok {
				in.Keep = int(number(t, keep))
				break
			}
			value, quality, _ := strings.Cut(w, "!")
			in.V = append(in.V, number(t, value))
			in.Q = wire.WithQuality(in.Q, i, qualities[quality])
		}
		return in
	}
	events := map[string]Event{"fail": Failed, "unread": Unread, "refuse": Refused, "order": Order, "done": Done, "stop": Stop}
	e, ok := events[f[0]]
	if !ok {
		t.Fatalf("unknown event %q", line)
	}
	in := Input{Event: e}
	if len(f) > 1 {
		in.Keep = int(number(t, strings.TrimPrefix(f[1], "keep=")))
	}
	return in
}

func describe(e Effects) string {
	var out []string
	if e.Read {
		out = append(out, "read")
	}
	if e.Do {
		out = append(out, "do")
	}
	if e.Busy {
		out = append(out, "busy")
	}
	if e.Row {
		row := "row"
		for i, v := range e.V {
			row += fmt.Sprint(" ", v)
			if q := wire.QualityOf(e.Q, i); q != wire.Good {
				row += "!" + q.String()
			}
		}
		if e.Suppressed > 0 {
			row += fmt.Sprintf(" (after %d withheld)", e.Suppressed)
		}
		out = append(out, row)
	}
	if e.Thinned {
		out = append(out, "thinned")
	} else if e.Withheld {
		out = append(out, "withheld")
	}
	if e.Overruns > 0 {
		out = append(out, fmt.Sprintf("%d overruns", e.Overruns))
	}
	switch e.Health {
	case Fell:
		out = append(out, "fell")
	case Recovered:
		out = append(out, "recovered")
	case Unchanged:
	}
	if e.Ended {
		out = append(out, "ended")
	}
	if out == nil {
		return "-"
	}
	return strings.Join(out, ", ")
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// I1, the sampler's share: each read ends in one row or is withheld, and the
// rows' counts account for every one that was withheld before them.
func TestEveryReadIsARowOrCountedInALaterOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.IntRange(1, 3).Draw(t, "points")
		r := Rules{Every: time.Second, Heartbeat: time.Duration(rapid.IntRange(1, 9).Draw(t, "heartbeat")) * time.Second}
		for range points {
			r.Deadband = append(r.Deadband, rapid.Int64Range(0, 5).Draw(t, "deadband"))
			r.Boolean = append(r.Boolean, rapid.Bool().Draw(t, "boolean"))
		}
		s := NewState(r)
		var reads, rows, told, ticks, overruns int
		var now, lastRow time.Duration
		shown, quality, thinned := make([]int64, points), uint64(0), 0
		keep := rapid.SampledFrom([]int{0, 1, 2, 8}).Draw(t, "keep")
		for range rapid.IntRange(1, 80).Draw(t, "ticks") {
			step := rapid.IntRange(1, 2).Draw(t, "step")
			now += time.Duration(step) * time.Second
			e := s.Step(Input{Event: Tick, Due: now})
			if ticks > 0 {
				ticks += step
			} else {
				ticks = 1
			}
			overruns += e.Overruns
			if !e.Read {
				t.Fatalf("no read at %v though none is in flight", now)
			}
			reads++
			in := Input{Event: Failed, Keep: keep}
			if rapid.IntRange(0, 4).Draw(t, "failure") > 0 {
				in.Event = Sampled
				for i := range points {
					in.V = append(in.V, rapid.Int64Range(-6, 6).Draw(t, "value"))
					in.Q = wire.WithQuality(in.Q, i, wire.Quality(rapid.IntRange(0, 3).Draw(t, "quality")/2))
				}
			}
			e = s.Step(in)
			if e.Row == e.Withheld {
				t.Fatalf("row %v, withheld %v", e.Row, e.Withheld)
			}
			if e.Row {
				rows++
				told += e.Suppressed
				lastRow = now
				copy(shown, e.V)
				quality, thinned = e.Q, 0
				continue
			}
			if in.Event == Sampled && in.Q != quality {
				t.Fatalf("quality %x became %x unseen", quality, in.Q)
			}
			for i, v := range in.V {
				if r.Boolean[i] && wire.QualityOf(in.Q, i) != wire.Bad && v != shown[i] {
					t.Fatalf("boolean point %d changed unseen", i)
				}
			}
			if e.Thinned {
				if thinned++; thinned >= keep {
					t.Fatalf("%d rows thinned in a row, one of %d is kept", thinned, keep)
				}
				continue
			}
			if now-lastRow >= r.Heartbeat {
				t.Fatalf("no row for %v, heartbeat %v", now-lastRow, r.Heartbeat)
			}
			for i, v := range in.V {
				if d := max(v-shown[i], shown[i]-v); d >= r.Deadband[i] {
					t.Fatalf("point %d moved by %d unseen, deadband %d", i, d, r.Deadband[i])
				}
			}
		}
		if rows+told+s.suppressed != reads {
			t.Fatalf("%d reads, but %d rows, %d told, %d not yet told", reads, rows, told, s.suppressed)
		}
		if reads+overruns != ticks {
			t.Fatalf("%d ticks, but %d reads and %d overruns", ticks, reads, overruns)
		}
	})
}
