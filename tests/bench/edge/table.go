package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

func printTable(out io.Writer, r *report) error {
	short := ""
	if r.Short {
		short = ", short"
	}
	fmt.Fprintf(out, "%s %s/%s, %d cores, load %s before and %s after%s\n\n", r.Go, r.OS, r.Arch, r.Cores, r.LoadBefore, r.LoadAfter, short)
	if r.Markdown {
		fmt.Fprint(out, "| section | figure | value | aim |\n|---|---|---|---|\n")
		for _, f := range r.Figures {
			fmt.Fprintf(out, "| %s | %s | %s %s | %s |\n", f.Section, f.Name, digits(f.Value), f.Unit, f.Aim)
		}
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "section\tfigure\tvalue\taim")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\n", f.Section, f.Name, digits(f.Value), f.Unit, f.Aim)
	}
	return t.Flush()
}

// digits shows a value as exactly as a benchmark knows it.
func digits(v float64) string {
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
