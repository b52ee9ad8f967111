package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

func printTable(out io.Writer, r *report) error {
	short := ""
	if r.Short {
		short = ", short"
	}
	fmt.Fprintf(out, "%s %s/%s, %d cores, load %s before and %s after%s\n\n", r.Go, r.OS, r.Arch, r.Cores, r.LoadBefore, r.LoadAfter, short)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "section\tfigure\tvalue\taim")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%s\t%.4g %s\t%s\n", f.Section, f.Name, f.Value, f.Unit, f.Aim)
	}
	return t.Flush()
}
