package main

import (
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/terminal"
)

const (
	// minPlot is the narrowest terminal that a plot is readable in, in columns.
	minPlot = 40
	// plotMargin is what the labels of the left axis take, and half of the last
	// time's.
	plotMargin = 16
	plotHeight = 12
	// plotTicks are the times below a plot: each has 8 characters.
	plotTicks = 5
	// bridged is how much longer than usual a pause between readings may be to
	// still be drawn as a line: a device that withholds what has not changed is
	// not silent.
	bridged = 3
)

// sample is a value to plot; NaN says that there was none.
type sample struct {
	at    time.Time
	value float64
}

func readingSamples(rows iter.Seq2[client.Reading, error]) iter.Seq2[sample, error] {
	return func(yield func(sample, error) bool) {
		for r, err := range rows {
			s := sample{r.Time, math.NaN()}
			if r.Value != nil {
				s.value = *r.Value
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

func windowSamples(rows iter.Seq2[client.Window, error]) iter.Seq2[sample, error] {
	return func(yield func(sample, error) bool) {
		for w, err := range rows {
			if !yield(sample{w.Start.Add(w.End.Sub(w.Start) / 2), w.Mean}, err) {
				return
			}
		}
	}
}

// plot draws samples in a terminal of some columns.
func plot(out io.Writer, s span, width int, title string, samples iter.Seq2[sample, error]) error {
	values, n, err := columns(s, width-plotMargin, samples)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(values, func(v float64) bool { return !math.IsNaN(v) }) {
		_, err := fmt.Fprintf(out, "%s: no values to draw from %s to %s\n", title, s.since.Local().Format(time.DateTime), s.until.Local().Format(time.DateTime))
		return err
	}
	layout := time.TimeOnly
	if s.until.Sub(s.since) > 24*time.Hour {
		layout = "01-02 15h"
	}
	graph := asciigraph.Plot(values,
		asciigraph.Height(plotHeight),
		asciigraph.Precision(2),
		asciigraph.XAxisRange(float64(s.since.Unix()), float64(s.until.Unix())),
		asciigraph.XAxisTickCount(plotTicks),
		asciigraph.XAxisValueFormatter(func(x float64) string { return time.Unix(int64(x), 0).Local().Format(layout) }),
	)
	var b strings.Builder
	for l := range strings.Lines(graph) {
		b.WriteString(strings.TrimRight(l, " \n") + "\n")
	}
	_, err = fmt.Fprintf(out, "%s, %s values\n%s", title, terminal.Number(uint64(n)), &b)
	return err
}

// bucket is what falls into a column.
type bucket struct {
	sum         float64
	count       int
	first, last time.Time
	failed      bool // one of its reads
}

func (b *bucket) add(x sample) {
	if math.IsNaN(x.value) {
		b.failed = true
		return
	}
	if b.count == 0 {
		b.first = x.at
	}
	b.sum, b.count, b.last = b.sum+x.value, b.count+1, x.at
}

// columns puts samples, which come by time, into width columns, each with the
// mean of its own, and says how many there were. A column without any is on the
// line between its neighbours, unless they are too far apart in time for that
// or a read between them failed: then it is NaN, a gap.
func columns(s span, width int, samples iter.Seq2[sample, error]) (values []float64, n int, err error) {
	buckets := make([]bucket, width)
	of := float64(s.until.Sub(s.since))
	for x, err := range samples {
		if err != nil {
			return nil, n, err
		}
		i := int(float64(x.at.Sub(s.since)) / of * float64(width))
		buckets[min(max(i, 0), width-1)].add(x)
	}
	var filled []int
	for i, b := range buckets {
		values = append(values, math.NaN())
		if b.count > 0 {
			values[i] = b.sum / float64(b.count)
			filled = append(filled, i)
			n += b.count
		}
	}
	bridge(values, buckets, filled)
	return values, n, nil
}

// bridge draws lines over pauses of the usual length.
func bridge(values []float64, buckets []bucket, filled []int) {
	var pauses []time.Duration
	for i := 1; i < len(filled); i++ {
		pauses = append(pauses, buckets[filled[i]].first.Sub(buckets[filled[i-1]].last))
	}
	if len(pauses) == 0 {
		return
	}
	usual := slices.Sorted(slices.Values(pauses))[len(pauses)/2]
	for i, pause := range pauses {
		a, b := filled[i], filled[i+1]
		if pause > bridged*usual || slices.ContainsFunc(buckets[a+1:b], func(x bucket) bool { return x.failed }) {
			continue
		}
		for j := a + 1; j < b; j++ {
			values[j] = values[a] + (values[b]-values[a])*float64(j-a)/float64(b-a)
		}
	}
}
