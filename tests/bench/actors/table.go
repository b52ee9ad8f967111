package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// print writes the tables: the runtime beside others, then the mission's rows.
// Where other work takes the machine's cores, the nanoseconds that a message
// costs still compare with the limit's.
func (r *report) print(out io.Writer) error {
	runs := 0
	for _, fig := range r.Figures {
		runs = max(runs, len(fig))
	}
	fmt.Fprintf(out, "%s %s/%s, %d cores, load %s before and %s after; medians of %d, scale %s\n\n",
		r.Go, r.OS, r.Arch, r.Cores, r.LoadBefore, r.LoadAfter, runs, r.Scale)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "row\tunit\tours\tlimit\tratio\tcpu ns\tlimit\ttyped\tproto.actor\tbest peer here\tratio\tchan\tmpsc\taims\tbehind")
	for _, one := range rows() {
		c := r.compare(one)
		if !r.measured(one) {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			one.title, one.unit, number(c.ours), number(c.limit), limitName(one), number(c.ofLimit()), number(c.cpu[0]), number(c.cpu[1]), number(c.typed),
			number(c.proto), c.bestPeer(), number(c.ofPeer()), number(c.beside["chan"]), number(c.beside["mpsc"]),
			c.verdict(), c.behind())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.printMission(out)
}

// measured reports whether anything of the row was.
func (r *report) measured(one row) bool {
	for _, program := range []string{one.program(), one.limitProgram()} {
		if len(r.Figures[program]) > 0 {
			return true
		}
	}
	return false
}

func limitName(r row) string {
	if r.limit == "" {
		return ""
	}
	return "(" + r.limit + ")"
}

func (c compared) bestPeer() string {
	if math.IsNaN(c.best()) {
		return "-"
	}
	return number(c.best()) + " " + c.row.peer.name
}
