// Command faults does to a real line of Atrium what happens in the field, and
// worse: kill -9, power cuts, full and damaged disks, bad networks, clouds that
// are silent, killed or restored from a backup, cloned and restored cards. After
// each scenario a checker outside the agent says of every reading that a board
// delivered whether it is in the cloud once, or in a range of the gap ledger
// whose reason this fault may have (I1).
//
// A scenario is data with a function (scenario.go); trial.go raises the line for
// it, package account is the checker, and the files named after a kind of fault hold
// the scenarios. README.md lists them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	bin      string
	match    string
	short    bool
	json     bool
	keep     bool
	seed     uint64
	parallel int
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/host", "folder with the programs")
	flag.StringVar(&o.match, "run", "", "regular expression of the scenarios to run; all without")
	flag.BoolVar(&o.short, "short", false, "fewer rounds and shorter faults: all in about 4 minutes")
	flag.BoolVar(&o.json, "json", false, "print the results as JSON")
	flag.BoolVar(&o.keep, "keep", false, "keep the folders, logs and data, also of what went well")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the faults' times and places; 0 draws one")
	flag.IntVar(&o.parallel, "parallel", 3, "scenarios at a time")
	list := flag.Bool("list", false, "list the scenarios and what they protect")
	flag.Parse()
	if *list {
		for _, s := range scenarios() {
			fmt.Printf("%-20s %s\n", s.name, s.protects)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, o, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1)
	}
}

// run runs the chosen scenarios and prints what came of them; ok is that none
// failed.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (ok bool, err error) {
	chosen, err := choose(scenarios(), o.match)
	if err != nil {
		return false, err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	if o.parallel < 1 {
		return false, fmt.Errorf("-parallel %d: want 1 or more", o.parallel)
	}
	p := &progress{w: stderr, begin: time.Now()}
	p.say("", "seed %d", o.seed)
	have := survey()
	results := make([]result, len(chosen))
	slots := make(chan struct{}, o.parallel)
	var all sync.WaitGroup
	for i, s := range chosen {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			results[i] = perform(ctx, s, o, have, p)
		})
	}
	all.Wait()
	if o.json {
		err = printJSON(stdout, o.seed, results)
	} else {
		err = printTable(stdout, o.seed, results)
	}
	return !slices.ContainsFunc(results, func(r result) bool { return r.Verdict == failed }), err
}

// choose returns the scenarios whose name matches.
func choose(all []scenario, expression string) ([]scenario, error) {
	match, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	chosen := slices.DeleteFunc(all, func(s scenario) bool { return !match.MatchString(s.name) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-run %q: no scenario has such a name: -list shows them", expression)
	}
	return chosen, nil
}

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
