package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

func printJSON(w io.Writer, seed uint64, results []result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Seed    uint64   `json:"seed"`
		Results []result `json:"results"`
	}{seed, results})
}

// printTable prints a line a scenario, and below it why some failed.
func printTable(w io.Writer, seed uint64, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\trounds\tsampled\tlost\tduplicated\tin gaps\tuncommitted\tremainder\tseconds\tverdict\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%s\t\n",
			r.Scenario, r.Rounds, r.Sampled, r.Lost, r.Duplicated, r.Gaps, r.Uncommitted, r.Remainder, r.Seconds, r.Verdict)
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
