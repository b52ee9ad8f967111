package trial

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Program is a command that runs scenarios.
type Program struct {
	Name      string     // of the command and, in front, of its folders
	Scenarios []Scenario // in the order in which they are run
	Parallel  int        // how many at a time, unless the command line says
	Columns   []string   // counts of its own, beside the readings'
}

// Options are what the command line says.
type Options struct {
	Bin      string // folder with the programs
	Match    string // regular expression of names
	Short    bool
	JSON     bool
	Keep     bool
	Seed     uint64
	Parallel int
}

// Main is the command: it reads the command line, runs until all is done or the
// process is told to end, and returns the process's exit status.
func (p Program) Main() int {
	o := Options{}
	flag.StringVar(&o.Bin, "bin", "bin/host", "folder with the programs")
	flag.StringVar(&o.Match, "run", "", "regular expression of the scenarios to run; all without")
	flag.BoolVar(&o.Short, "short", false, "fewer scenarios and rounds, and shorter faults: about 4 minutes")
	flag.BoolVar(&o.JSON, "json", false, "print the results as JSON")
	flag.BoolVar(&o.Keep, "keep", false, "keep the folders, logs and data, also of what went well")
	flag.Uint64Var(&o.Seed, "seed", 0, "seed of the faults' times and places; 0 draws one")
	flag.IntVar(&o.Parallel, "parallel", p.Parallel, "scenarios at a time")
	list := flag.Bool("list", false, "list the scenarios and what they protect")
	flag.Parse()
	if *list {
		for _, s := range p.Scenarios {
			fmt.Printf("%-20s %s\n", s.Name, s.Protects)
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := p.Run(ctx, o, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
	}
	if err != nil || !ok {
		return 1
	}
	return 0
}

// Run runs the chosen scenarios and prints what came of them; ok is that none
// failed.
func (p Program) Run(ctx context.Context, o Options, stdout, stderr io.Writer) (ok bool, err error) {
	chosen, err := p.choose(o)
	if err != nil {
		return false, err
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1 << 32)
	}
	if o.Parallel < 1 {
		return false, fmt.Errorf("-parallel %d: want 1 or more", o.Parallel)
	}
	progress := &progress{w: stderr, begin: time.Now()}
	progress.say("", "seed %d", o.Seed)
	lacks := survey(chosen)
	results := make([]Result, len(chosen))
	slots := make(chan struct{}, o.Parallel)
	var all sync.WaitGroup
	for i, s := range chosen {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			results[i] = p.perform(ctx, s, o, lacks, progress)
		})
	}
	all.Wait()
	if o.JSON {
		err = printJSON(stdout, o.Seed, results)
	} else {
		err = p.printTable(stdout, o.Seed, results)
	}
	return !slices.ContainsFunc(results, func(r Result) bool { return r.Verdict == Failed }), err
}

// choose returns the scenarios whose name matches; of the short form, without a
// name, those that are in it.
func (p Program) choose(o Options) ([]Scenario, error) {
	match, err := regexp.Compile(o.Match)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var chosen []Scenario
	for _, s := range p.Scenarios {
		if match.MatchString(s.Name) && (!s.Long || !o.Short || o.Match != "") {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-run %q: no scenario has such a name: -list shows them", o.Match)
	}
	return chosen, nil
}

// perform runs one scenario to its verdict.
func (p Program) perform(ctx context.Context, s Scenario, o Options, lacks map[string]error, progress *progress) Result {
	begin := time.Now()
	t := &Trial{
		Scenario: s, Options: o, Rand: Dice(o.Seed, s.Name),
		Result: Result{Scenario: s.Name, Counts: map[string]int{}}, tell: progress.say,
	}
	r := &t.Result
	for _, n := range s.Needs {
		if why := lacks[n.Name]; why != nil {
			r.Verdict = Skipped
			t.Note("needs %s: %s", n.Name, strings.Join(strings.Fields(why.Error()), " "))
			t.Say("%s: %s", r.Verdict, r.Notes[0])
			return *r
		}
	}
	var err error
	if t.Dir, err = os.MkdirTemp("", "atrium-"+p.Name+"-"+s.Name+"-"); err == nil {
		err = t.run(ctx)
	}
	r.Seconds, r.Verdict = time.Since(begin).Seconds(), Passed
	if err != nil {
		r.Verdict = Failed
		t.Note("%v", err)
	}
	t.Say("%s", strings.TrimSpace(string(r.Verdict)+" "+strings.Join(r.Notes, "; ")))
	return *r
}

// Check says what is wrong with the program's scenarios: each has one name, says
// what it protects and is in the text that people read.
func (p Program) Check(readme []byte) (wrong []string) {
	seen := map[string]bool{}
	for _, s := range p.Scenarios {
		if seen[s.Name] || s.Protects == "" || s.Run == nil || !bytes.Contains(readme, []byte("| `"+s.Name+"` |")) {
			wrong = append(wrong, s.Name+": twice, empty, or not in the table of README.md")
		}
		seen[s.Name] = true
	}
	return wrong
}
