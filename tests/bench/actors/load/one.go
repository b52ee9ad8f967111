package load

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// patience is how long a program may take before it counts as hung: the
// longest, a million goroutines, takes some ten seconds.
const patience = 3 * time.Minute

// ErrUnserved: the runtime offers nothing for the workload.
var ErrUnserved = errors.New("load: the runtime does not offer what this workload needs")

// Program is what one process runs.
type Program func(Scale) (Figures, error)

// Programs are each of the workloads on each of the runtimes, by the name
// "runtime/workload". A program starts its runtime and never closes it: it is
// for a process that then ends.
func Programs(runtimes map[string]func() Peer) map[string]Program {
	all := map[string]Program{}
	for name, start := range runtimes {
		for _, w := range Workloads() {
			all[name+"/"+w.Name] = func(s Scale) (Figures, error) {
				p := start()
				if !w.Serves(p) {
					return nil, ErrUnserved
				}
				return w.Run(p, s), nil
			}
		}
	}
	return all
}

// ExitUnserved is the exit status of a process whose runtime does not offer
// what the workload needs.
const ExitUnserved = 3

// Main is the whole of a process that runs one program: it runs the one that
// args name, writes its figures to out as one JSON object, or says on problems
// what went wrong, and returns the exit status.
func Main(args []string, programs map[string]Program, out, problems io.Writer) int {
	err := one(args, programs, out)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrUnserved):
		return ExitUnserved
	}
	fmt.Fprintln(problems, err)
	return 1
}

func one(args []string, programs map[string]Program, out io.Writer) error {
	flags := flag.NewFlagSet("one", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("program", "", "what to run, as runtime/workload")
	size := flags.String("scale", "full", "how much of it")
	profile := flags.String("cpuprofile", "", "write a CPU profile to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	run, ok := programs[*name]
	if !ok {
		return fmt.Errorf("-program %s: want one of %s", *name, names(programs))
	}
	scale, ok := Scales()[*size]
	if !ok {
		return fmt.Errorf("-scale %s: want one of %s", *size, names(Scales()))
	}
	stop, err := startProfile(*profile)
	if err != nil {
		return err
	}
	fig, err := within(patience, run, scale)
	stop()
	if err != nil {
		return fmt.Errorf("%s: %w", *name, err)
	}
	return json.NewEncoder(out).Encode(fig)
}

func names[V any](m map[string]V) string { return strings.Join(slices.Sorted(maps.Keys(m)), ", ") }

// within gives up on a program that does not end.
func within(d time.Duration, run Program, s Scale) (fig Figures, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fig, err = run(s)
	}()
	select {
	case <-ended:
		return fig, err
	case <-time.After(d):
		return nil, fmt.Errorf("did not end in %v: a message was lost", d)
	}
}

// startProfile writes a CPU profile to path until stop; no path, no profile.
func startProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("-cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("-cpuprofile: %w", errors.Join(err, f.Close()))
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // the profiler passes no write error on either
	}, nil
}
