package main

import (
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atrium-iot/atrium/shared/ops"
)

// each yields values a second apart, from the first second on; NaN is a read
// that failed, and infinity no reading at all.
func each(values ...float64) iter.Seq2[sample, error] {
	return func(yield func(sample, error) bool) {
		for i, v := range values {
			if !math.IsInf(v, 0) && !yield(sample{time.Unix(int64(i), 0), v}, nil) {
				return
			}
		}
	}
}

func TestGapsStayGapsAndUsualPausesAreBridged(t *testing.T) {
	gap, none := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name     string
		in, want []float64
	}{
		{"dense", []float64{1, 2, 3, none, none, none, 7, 8}, []float64{1, 2, 3, gap, gap, gap, 7, 8}},
		{"sparse", []float64{1, none, 3, none, 5, none, none, none, none, none, none, 12}, []float64{1, 2, 3, 4, 5, gap, gap, gap, gap, gap, gap, 12}},
		{"a read that failed", []float64{1, none, 3, gap, 5, none, 7}, []float64{1, 2, 3, gap, 5, 6, 7}},
		{"one", []float64{none, 7, none}, []float64{gap, 7, gap}},
	} {
		s := span{time.Unix(0, 0), time.Unix(int64(len(c.in)), 0)}
		got, _, err := columns(s, len(c.in), each(c.in...))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(0, 1e-9)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestMoreColumnsThanReadingsMakeNoGaps(t *testing.T) {
	values := make([]float64, 60)
	got, _, err := columns(span{time.Unix(0, 0), time.Unix(60, 0)}, 64, each(values...))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got[:63] { // the last reading is at 59 s
		if math.IsNaN(v) {
			t.Errorf("column %d of 64 has a gap", i)
		}
	}
}

func TestAColumnIsTheMeanOfItsReadings(t *testing.T) {
	got, n, err := columns(span{time.Unix(0, 0), time.Unix(4, 0)}, 2, each(1, 2, 10, 20))
	if d := cmp.Diff([]float64{1.5, 15}, got); d != "" || n != 4 || err != nil {
		t.Errorf("%d readings, %v\n%s", n, err, d)
	}
}

func TestAPlotFitsItsTerminal(t *testing.T) {
	s := span{time.Unix(0, 0), time.Unix(60, 0)}
	var values []float64
	for i := range 60 {
		values = append(values, 1000+float64(i%7))
	}
	for _, width := range []int{minPlot, 80, 200} {
		var out strings.Builder
		if err := plot(&out, s, width, "hq/air temperature", each(values...)); err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSpace(l))); n > width {
				t.Errorf("%d columns: a line has %d:\n%s", width, n, &out)
				break
			}
		}
	}
	var out strings.Builder
	if err := plot(&out, s, 80, "hq/air temperature", each()); err != nil || !strings.HasPrefix(out.String(), "hq/air temperature: no values to draw from ") {
		t.Errorf("%v, %q", err, &out)
	}
}

func TestExitStatusesAreStable(t *testing.T) {
	for line, want := range map[string]int{
		"get devices hq --api http://127.0.0.1:1": 1,
		"watch --api http://127.0.0.1:1":          1,
		"get roofs":                               2,
		"get devices HQ":                          2,
		"get devices -o text":                     2,
		"describe device hq":                      2,
		"watch HQ":                                2,
		"history hq/air":                          2,
		"history hq/air t --since tomorrow":       2,
		"command hq/relay":                        2,
		"command hq/relay set up":                 2,
		"no-such-command":                         2,
	} {
		root := newRoot()
		root.SetArgs(strings.Fields(line))
		root.SetOut(t.Output())
		root.SetErr(t.Output())
		if got := ops.Run(root); got != want {
			t.Errorf("%q: status %d, want %d", line, got, want)
		}
	}
}
