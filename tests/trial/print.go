package trial

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// progress is what a person sees while scenarios run.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	begin time.Time
}

func (p *progress) say(scenario, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%6.1fs  %-18s %s\n", time.Since(p.begin).Seconds(), scenario, fmt.Sprintf(format, args...))
}

func printJSON(w io.Writer, seed uint64, results []Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Seed    uint64   `json:"seed"`
		Results []Result `json:"results"`
	}{seed, results})
}

// printTable prints a line a scenario, and below it what else there is to say.
func (p Program) printTable(w io.Writer, seed uint64, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	own := ""
	for _, c := range p.Columns {
		own += c + "\t"
	}
	fmt.Fprintf(t, "scenario\trounds\tsampled\tlost\tduplicated\tin gaps\tuncommitted\tremainder\t%sseconds\tverdict\t\n", own)
	for _, r := range results {
		var counts strings.Builder
		for _, c := range p.Columns {
			fmt.Fprintf(&counts, "%d\t", r.Counts[c])
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s%.1f\t%s\t\n", r.Scenario, r.Rounds, r.Sampled, r.Lost,
			r.Duplicated, r.Gaps, r.Uncommitted, r.Remainder, counts.String(), r.Seconds, r.Verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, note := range r.Notes {
			fmt.Fprintf(w, "%s: %s\n", r.Scenario, note)
		}
	}
	_, err := fmt.Fprintf(w, "seed %d\n", seed)
	return err
}
