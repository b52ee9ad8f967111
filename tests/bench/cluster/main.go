// Command cluster measures what gateways and people see of a cluster when nodes
// die, leave and come back: how long shards are not served, how long the
// store elects leaders in the same moments (which no owner can be quicker than),
// and how long no gateway's ack comes and no command is accepted. Then it measures
// what a reading costs one node, three and six, and how often it passes from one to
// another. All runs as processes on this machine, which share its cores and its disk. It prints a table, or JSON with -json, and judges
// nothing. docs/BENCHMARKS.md says what was seen.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// workers are beside the core nodes.
const workers = 2

// bench is a run.
type bench struct {
	cluster *nodes.Cluster
	line    *line.Line
	logs    []*pauses // by shard: answers of its leader
	acks    []*pauses // by gateway

	commands []*pauses // by site: that were accepted
}

func main() {
	rounds := flag.Int("rounds", 10, "how often each thing is done")
	steady := flag.Duration("steady", 30*time.Second, "how long the work of a reading is measured on each size of cluster; 0: not at all")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *rounds, *steady, *asJSON, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, steady time.Duration, asJSON bool, w io.Writer) (err error) {
	if rounds < 0 || steady < 0 {
		return fmt.Errorf("-rounds %d, -steady %v: want 0 or more", rounds, steady)
	}
	dir, err := os.MkdirTemp("", "atrium-bench-cluster-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bin, err := line.Build(ctx)
	if err != nil {
		return err
	}
	var r report
	if rounds > 0 {
		if r.Events, err = happen(ctx, bin, filepath.Join(dir, "events"), rounds); err != nil {
			return err
		}
	}
	if steady > 0 {
		if r.Work, err = works(ctx, bin, dir, steady); err != nil {
			return err
		}
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return printTable(w, r)
}

// happen raises a cluster and measures every event.
func happen(ctx context.Context, bin, dir string, rounds int) (rows []row, err error) {
	b := &bench{}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.raise(ctx, bin, dir); err != nil {
		return nil, err
	}
	measuring, end := context.WithCancel(ctx)
	defer end()
	wait, err := b.watch(measuring)
	if err != nil {
		return nil, err
	}
	defer wait()
	defer end()
	return b.measure(ctx, rounds)
}

func (b *bench) raise(ctx context.Context, bin, dir string) (err error) {
	if b.cluster, err = nodes.New(ctx, bin, dir); err != nil {
		return err
	}
	for i := range nodes.Cores + workers {
		if _, err := b.cluster.Add(i >= nodes.Cores); err != nil {
			return err
		}
	}
	if err := nodes.Start(ctx, b.cluster.All...); err != nil {
		return err
	}
	cfg := line.Config{Bin: bin, Dir: dir, Cloud: b.cluster.Cloud()}
	for _, site := range []string{"hq", "lab", "yard"} {
		cfg.Gateways = append(cfg.Gateways, line.Gateway{Site: site, Mode: "always", Counters: 2, Keys: "reconnect: 2s"})
	}
	b.line, err = line.Start(ctx, cfg)
	return err
}

func (b *bench) stop() error {
	var err error
	if b.line != nil {
		err = b.line.Stop()
	}
	if b.cluster != nil {
		err = errors.Join(err, b.cluster.Stop())
	}
	return err
}

// report is all that was measured.
type report struct {
	Events []row  `json:"events,omitempty"`
	Work   []work `json:"work,omitempty"`
}

// row is what came of one kind of event.
type row struct {
	Event    string `json:"event"`
	Rounds   int    `json:"rounds"`
	Served   spread `json:"served_again"`  // from the event until every shard is served
	Leader   spread `json:"no_leader"`     // the longest time in which a log had no leader that answered
	Acks     spread `json:"ack_pause"`     // the longest time without an ack, of the gateway with the longest
	Commands spread `json:"command_pause"` // the longest time in which no command of a site was accepted
	Back     spread `json:"back"`          // from the start of the node until it is ready
}

func printTable(w io.Writer, r report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if r.Events != nil {
		fmt.Fprintln(t, "event\trounds\tall shards served\ta log without a leader\tno ack\tno command\tback")
		for _, e := range r.Events {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", e.Event, e.Rounds, e.Served, e.Leader, e.Acks, e.Commands, e.Back)
		}
		fmt.Fprintln(t, "(median / longest)")
	}
	if r.Work != nil {
		fmt.Fprintln(t, "nodes\treadings/s\tCPU a reading\tof that, more than at rest\tframes that came by another node\trequests between nodes a reading")
		for _, k := range r.Work {
			fmt.Fprintf(t, "%d\t%.0f\t%.0f us\t%.0f us\t%.1f %%\t%.4f\n", k.Nodes, k.Rate, k.CPU, k.CPU-k.AtRest, 100*k.Elsewhere, k.Requests)
		}
	}
	return t.Flush()
}

// spread is of several measurements.
type spread struct {
	Median  time.Duration `json:"median_ns"`
	Longest time.Duration `json:"longest_ns"`
}

func (s spread) String() string {
	if s.Longest == 0 {
		return "-"
	}
	return fmt.Sprintf("%v / %v", s.Median.Round(10*time.Millisecond), s.Longest.Round(10*time.Millisecond))
}
