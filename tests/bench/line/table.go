package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

const mb = 1e6

// column is a figure of a table and how it is printed.
type column[T any] struct {
	head   string
	format string
	of     func(T) float64
}

var liveColumns = []column[live]{
	{"readings/frame", "%.0f", func(l live) float64 { return l.ReadingsPerFrame }},
	{"B/reading", "%.2f", func(l live) float64 { return l.MessageBytes }},
	{"UDP up", "%.2f", func(l live) float64 { return l.UDPUp }},
	{"UDP down", "%.2f", func(l live) float64 { return l.UDPDown }},
	{"RSS MB", "%.1f", func(l live) float64 { return float64(l.Edge.RSS) / mb }},
	{"peak", "%.1f", func(l live) float64 { return float64(l.Edge.PeakRSS) / mb }},
	{"anon", "%.1f", func(l live) float64 { return float64(l.Edge.Anon) / mb }},
	{"CPU %", "%.1f", func(l live) float64 { return l.EdgeCPU }},
	{"twin p50 ms", "%.0f", func(l live) float64 { return l.Twin.P50 }},
	{"p99", "%.0f", func(l live) float64 { return l.Twin.P99 }},
	{"poll p50", "%.1f", func(l live) float64 { return l.Poll.P50 }},
	{"fsync p50", "%.2f", func(l live) float64 { return l.Fsync.P50 }},
	{"p99", "%.2f", func(l live) float64 { return l.Fsync.P99 }},
}

var loadColumns = []column[throughput]{
	{"durable/s", "%.0f", func(t throughput) float64 { return t.Durable }},
	{"applied/s", "%.0f", func(t throughput) float64 { return t.Applied }},
	{"frames/s", "%.0f", func(t throughput) float64 { return t.Frames }},
	{"B/reading", "%.2f", func(t throughput) float64 { return t.BytesPerReading }},
	{"edge CPU %", "%.0f", func(t throughput) float64 { return t.EdgeCPU }},
	{"edge peak MB", "%.0f", func(t throughput) float64 { return float64(t.EdgePeakRSS) / mb }},
	{"anon", "%.0f", func(t throughput) float64 { return float64(t.EdgeAnon) / mb }},
	{"cloud CPU %", "%.0f", func(t throughput) float64 { return t.CloudCPU }},
	{"fsync p50 ms", "%.2f", func(t throughput) float64 { return t.Fsync.P50 }},
}

func printTables(r *report) error {
	fmt.Printf("%s %s/%s, %d cores, load %s before and %s after\n", r.Go, r.OS, r.Arch, r.Cores, r.LoadBefore, r.LoadAfter)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Live) > 0 {
		fmt.Fprintf(t, "\na gateway with %d devices, %d points, at 1 Hz:\n", devices, devices*points)
		printMedians(t, r.Live, func(l live) string { return l.Mode }, liveColumns)
	}
	if len(r.Throughput) > 0 {
		fmt.Fprintln(t, "\ngateways of 20 devices of 5 points, as fast as the line takes it, in readings:")
		printMedians(t, r.Throughput, func(l throughput) string { return l.Case }, loadColumns)
	}
	printSizes(t, r.Sizes)
	return t.Flush()
}

// printMedians prints a line for each case: of every column the median of the
// case's runs.
func printMedians[T any](t *tabwriter.Writer, runs []T, name func(T) string, columns []column[T]) {
	fmt.Fprint(t, "case\tn\t")
	for _, c := range columns {
		fmt.Fprint(t, c.head, "\t")
	}
	var cases []string
	for _, r := range runs {
		if !slices.Contains(cases, name(r)) {
			cases = append(cases, name(r))
		}
	}
	for _, one := range cases {
		same := slices.DeleteFunc(slices.Clone(runs), func(r T) bool { return name(r) != one })
		fmt.Fprintf(t, "\n%s\t%d\t", one, len(same))
		for _, c := range columns {
			fmt.Fprintf(t, c.format+"\t", median(same, c.of))
		}
	}
	fmt.Fprintln(t)
}

func median[T any](runs []T, of func(T) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b T) int { return cmp.Compare(of(a), of(b)) })
	return of(sorted[(len(sorted)-1)/2])
}

func printSizes(t *tabwriter.Writer, sizes []size) {
	if len(sizes) == 0 {
		return
	}
	fmt.Fprintln(t, "\natrium-edge, stripped\tMB\tof which\t")
	for _, s := range sizes {
		fmt.Fprintf(t, "%s\t%.2f\t\t\n", s.Target, float64(s.Bytes)/mb)
		for _, name := range slices.SortedFunc(maps.Keys(s.Sections), func(a, b string) int { return cmp.Compare(s.Sections[b], s.Sections[a]) }) {
			fmt.Fprintf(t, "\t%.2f\t%s\t\n", float64(s.Sections[name])/mb, strings.TrimPrefix(name, "."))
		}
		for _, m := range s.Modules {
			fmt.Fprintf(t, "\t%.2f\t%s\t\n", float64(m.Bytes)/mb, m.Module)
		}
	}
}
