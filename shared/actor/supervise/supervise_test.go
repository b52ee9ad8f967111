package supervise

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// The scenarios in testdata/decide say what follows from failures. "strategy"
// begins a record; each line of "fail" is a failure at a time, with the random
// number that a jitter would draw, and is answered by the decision.
func TestWhatFollowsFromAFailure(t *testing.T) {
	datadriven.Walk(t, "testdata/decide", func(t *testing.T, path string) {
		var s Strategy
		var r Record
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "strategy":
				s, r = parseStrategy(t, d.CmdArgs), Record{}
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
				return ""
			case "fail":
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					at, decision := fail(t, &r, &s, strings.Fields(line))
					fmt.Fprintf(&out, "%s: %s\n", at, describe(decision))
				}
				return out.String()
			}
			t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
			return ""
		})
	})
}

func TestCheckNamesTheFieldAndWhatItAllows(t *testing.T) {
	datadriven.RunTest(t, "testdata/check", func(t *testing.T, d *datadriven.TestData) string {
		if err := parseStrategy(t, d.CmdArgs).Check(); err != nil {
			var field *FieldError
			if !errors.As(err, &field) || field.Field == "" {
				t.Errorf("%#v names no field", err)
			}
			return err.Error() + "\n"
		}
		return "ok\n"
	})
}

func fail(t *testing.T, r *Record, s *Strategy, fields []string) (at string, d Decision) {
	t.Helper()
	f := Failure{Reason: errors.New("broken")}
	random := func() float64 { t.Fatal("a random number without jitter"); return 0 }
	for _, field := range fields[1:] {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "id":
			f.ID = value
		case "random":
			random = func() float64 { return float(t, value) }
		default:
			t.Fatalf("unknown %q", field)
		}
	}
	return fields[0], r.Step(int64(duration(t, fields[0])), s, f, random)
}

func describe(d Decision) string {
	if d.Delay == 0 {
		return d.Directive.String()
	}
	return fmt.Sprintf("%s after %v", d.Directive, d.Delay)
}

func parseStrategy(t *testing.T, args []datadriven.CmdArg) (s Strategy) {
	t.Helper()
	for _, a := range args {
		v := a.Vals[0]
		switch a.Key {
		case "scope":
			s.Scope = named[Scope](t, scopes, v)
		case "on_failure":
			s.OnFailure = named[Directive](t, directives, v)
		case "exceeded":
			s.Exceeded = named[Directive](t, directives, v)
		case "max_restarts":
			s.MaxRestarts = int(float(t, v))
		case "within":
			s.Within = duration(t, v)
		case "min":
			s.Backoff.Min = duration(t, v)
		case "max":
			s.Backoff.Max = duration(t, v)
		case "factor":
			s.Backoff.Factor = float(t, v)
		case "jitter":
			s.Backoff.Jitter = float(t, v)
		case "reset":
			s.Backoff.Reset = duration(t, v)
		default:
			t.Fatalf("unknown field %q", a.Key)
		}
	}
	return s
}

// named reads a name, or the number of one that does not exist.
func named[T ~uint8](t *testing.T, names []string, text string) T {
	t.Helper()
	if i := slices.Index(names, text); i >= 0 {
		return T(i)
	}
	return T(float(t, text))
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func float(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
