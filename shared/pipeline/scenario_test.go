package pipeline

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
)

// base is the instant that scenarios count from: midnight, so that windows
// begin at round times.
var base = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// TestScenarios runs the texts of testdata. Times are since base. A row is its
// time and its values; the output is what Step or Tick gave.
func TestScenarios(t *testing.T) {
	for _, file := range []string{"testdata/windows", "testdata/alarms"} {
		t.Run(file, func(t *testing.T) {
			var p *Pipeline
			var s State
			var out Output
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				switch d.Cmd {
				case "pipeline":
					var err error
					if p, err = Parse("p.yaml", []byte(d.Input)); err != nil {
						d.Fatalf(t, "%v", err)
					}
					s = State{}
					return strings.Join(p.Stages(), "\n") + "\n"
				case "step":
					var run string
					var seq uint64
					d.ScanArgs(t, "run", &run)
					d.ScanArgs(t, "seq", &seq)
					p.Step(instant(t, d, "now"), &s, id.Run{7: run[0]}, seq, rows(t, d), &out)
				case "tick":
					p.Tick(instant(t, d, "now"), &s, &out)
				case "end":
					p.End(instant(t, d, "now"), &s, &out)
				default:
					d.Fatalf(t, "unknown command %q", d.Cmd)
				}
				return describe(p, &s, &out)
			})
		})
	}
}

func instant(t *testing.T, d *datadriven.TestData, key string) int64 {
	var text string
	d.ScanArgs(t, key, &text)
	return parseInstant(t, text)
}

func parseInstant(t *testing.T, text string) int64 {
	at, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return base + at.Microseconds()
}

func rows(t *testing.T, d *datadriven.TestData) []Row {
	var all []Row
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		r := Row{At: parseInstant(t, words[0])}
		for _, w := range words[1:] {
			v, err := strconv.ParseFloat(w, 64)
			if err != nil {
				t.Fatal(err)
			}
			r.V = append(r.V, v)
		}
		all = append(all, r)
	}
	return all
}

func since(at int64) string { return short(time.Duration(at-base) * time.Microsecond) }

// describe writes an output and what the state became.
func describe(p *Pipeline, s *State, out *Output) string {
	var b strings.Builder
	for _, w := range out.Windows {
		key := "main"
		if w.Run != (id.Run{}) {
			key = fmt.Sprintf("late %c/%d", w.Run[7], w.Seq)
		}
		fmt.Fprintf(&b, "window %d [%s %s) %s: n=%d mean=%g min=%g max=%g first=%g@%s last=%g@%s\n", w.Stage,
			since(w.Start), since(w.End), key, w.Count, w.Mean(), w.Min, w.Max, w.First, since(w.FirstAt), w.Last, since(w.LastAt))
	}
	for _, a := range out.Alarms {
		fmt.Fprintf(&b, "alarm %d %s at %s: %g against %g, %s: %s\n", a.Stage, a.State, since(a.At), a.Value, a.Threshold, a.Severity, a.Text)
	}
	for _, a := range p.Alarms(s) {
		fmt.Fprintf(&b, "  %s, raised %d times\n", a.State, a.Raised)
	}
	if due := p.Due(s); due != 0 {
		fmt.Fprintf(&b, "  due %s\n", since(due))
	}
	c := out.Counts
	for _, n := range []struct {
		name string
		n    uint64
	}{{"rows", c.Rows}, {"too late", c.TooLate}, {"suspect", c.Suspect}, {"bad", c.Bad}, {"filtered", c.Filtered}, {"late", c.Late}, {"windows", c.Windows}, {"raised", c.Raised}, {"overtaken", c.Overtaken}} {
		if n.n > 0 {
			fmt.Fprintf(&b, "  %s %d\n", n.name, n.n)
		}
	}
	return b.String()
}

func TestEveryWrongDocumentIsRefusedByPlaceAndWithWhatIsWanted(t *testing.T) {
	datadriven.RunTest(t, "testdata/documents", func(t *testing.T, d *datadriven.TestData) string {
		input := d.Input
		if d.Cmd == "stages" { // the head is the same for most
			input = "kind: pipeline\nname: hq/p\npoints: [temperature, humidity]\nstages:\n  " + input // the text loses its first indentation
		}
		p, err := Parse("p.yaml", []byte(input))
		if err == nil {
			return strings.Join(p.Stages(), "\n") + "\n"
		}
		var e *config.Error
		if !errors.As(err, &e) || e.Line == 0 || e.Column == 0 {
			d.Fatalf(t, "not a placed error: %#v", err)
		}
		return err.Error() + "\n"
	})
}
