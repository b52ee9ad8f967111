// Command cluster raises a cluster of Atrium as real processes, lets gateways
// send to it, and does to its nodes what happens to machines: they are killed,
// stand still, are drained, join and leave. After each scenario it judges from
// outside: every reading that a gateway committed is in the history once or in
// the gap ledger (I1), each epoch of a shard's log has one owner (I3),
// and no more shards moved than had to.
//
// A scenario is data with a function (scenario.go);
// trial.go has what scenarios do and the judgement, logs.go reads the logs, and
// the other files hold the scenarios. README.md lists them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// options are what the command line says.
type options struct {
	bin   string
	match string
	short bool
	json  bool
	keep  bool
	seed  uint64
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/host", "folder with the programs")
	flag.StringVar(&o.match, "run", "", "regular expression of the scenarios to run; all without")
	flag.BoolVar(&o.short, "short", false, "fewer scenarios and rounds: about 4 minutes")
	flag.BoolVar(&o.json, "json", false, "print the results as JSON")
	flag.BoolVar(&o.keep, "keep", false, "keep the folders, logs and data, also of what went well")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the faults' times and places; 0 draws one")
	list := flag.Bool("list", false, "list the scenarios and what they protect")
	flag.Parse()
	if *list {
		for _, s := range scenarios() {
			fmt.Printf("%-12s %s\n", s.name, s.protects)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, o, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1)
	}
}

// run runs the chosen scenarios one after another, as each has five processes
// and more, and prints what came of them; ok is that none failed.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (ok bool, err error) {
	chosen, err := choose(scenarios(), o.match, o.short)
	if err != nil {
		return false, err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	begin := time.Now()
	say := func(scenario, format string, args ...any) {
		fmt.Fprintf(stderr, "%6.1fs  %-10s %s\n", time.Since(begin).Seconds(), scenario, fmt.Sprintf(format, args...))
	}
	say("", "seed %d", o.seed)
	var results []result
	for _, s := range chosen {
		results = append(results, perform(ctx, s, o, say))
	}
	if o.json {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(struct {
			Seed    uint64   `json:"seed"`
			Results []result `json:"results"`
		}{o.seed, results})
	} else {
		err = printTable(stdout, o.seed, results)
	}
	return !slices.ContainsFunc(results, func(r result) bool { return r.Verdict == failed }), err
}

// choose returns the scenarios whose name matches; of the short form, without a
// name, those that are in it.
func choose(all []scenario, expression string, short bool) ([]scenario, error) {
	match, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	chosen := slices.DeleteFunc(all, func(s scenario) bool {
		return !match.MatchString(s.name) || short && s.long && expression == ""
	})
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-run %q: no scenario has such a name: -list shows them", expression)
	}
	return chosen, nil
}

// printTable prints a line a scenario, and below it what else there is to say.
func printTable(w io.Writer, seed uint64, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\trounds\tsampled\tlost\tduplicated\tin gaps\tmoved\tclaims\tseconds\tverdict\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%s\t\n",
			r.Scenario, r.Rounds, r.Sampled, r.Lost, r.Duplicated, r.Gaps, r.Moved, r.Claims, r.Seconds, r.Verdict)
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
