// Command actors compares Atrium's actor runtime with the limits of package
// reference and with proto.actor, in one run: each workload of each runtime is
// a process of its own, in turn, and the tables show medians of the runs. It
// prints tables, or JSON with -json. docs/BENCHMARKS.md says how each figure
// is taken and what was seen.
//
// It judges rows and not itself: machines are noisy, so no figure makes it
// fail.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/atrium-iot/atrium/tests/bench/actors/atrium"
	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/mission"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference/shard"
)

// childCommand is the first argument of a process that runs one program.
const childCommand = "one"

// options are the command line.
type options struct {
	runs    int
	short   bool
	only    []string // workloads; all if empty
	proto   bool
	profile string // folder for CPU profiles of our own programs
	json    bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		os.Exit(load.Main(os.Args[2:], programs(), os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "actors:", err)
	stop()
	os.Exit(1)
}

// programs are those of this process; proto.actor's are another's.
func programs() map[string]load.Program {
	all := load.Programs(reference.Runtimes())
	maps.Copy(all, load.Programs(atrium.Runtimes()))
	maps.Copy(all, mission.Programs())
	maps.Copy(all, shard.Programs())
	return all
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if !o.json {
		return r.print(out)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("actors", flag.ContinueOnError)
	flags.IntVar(&o.runs, "runs", 3, "how often all of it is measured, in turn; tables show medians")
	flags.BoolVar(&o.short, "short", false, "once and little of everything: that it runs, not how fast")
	flags.BoolVar(&o.proto, "proto", true, "measure proto.actor beside, which is downloaded and built")
	flags.BoolVar(&o.json, "json", false, "print JSON instead of tables")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of Atrium's programs into this folder")
	only := flags.String("only", "", "workloads to measure, with commas between: "+strings.Join(workloads(), ", "))
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%s: want flags only", flags.Arg(0))
	}
	if o.runs < 1 {
		return o, fmt.Errorf("-runs %d: want at least 1", o.runs)
	}
	if o.short {
		o.runs = 1
	}
	if o.profile != "" {
		if _, err := os.Stat(o.profile); err != nil {
			return o, fmt.Errorf("-profile %s: %w", o.profile, errors.Unwrap(err))
		}
	}
	if *only == "" {
		return o, nil
	}
	o.only = strings.Split(*only, ",")
	return o, known(o.only)
}
