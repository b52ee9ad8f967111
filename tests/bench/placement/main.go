// Command placement measures what package placement decides, on clusters of a
// million sites that exist on paper: how evenly load is spread, how much of it is
// served in its zone, how many shards move when a node joins or leaves and when a
// zone is lost and returns, beside the ideal, and how long a plan takes. It
// prints a table, or JSON with -json, and judges nothing. docs/BENCHMARKS.md says
// what was seen.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

// result is one cluster's row.
type result struct {
	Nodes  int `json:"nodes"`
	Shards int `json:"shards"`
	Sites  int `json:"sites"`

	Fullest   float64 `json:"fullest_of_mean"`            // load of the fullest node by the mean
	Unbounded float64 `json:"fullest_of_mean_by_rank"`    // if every shard were on its first node
	AtHome    float64 `json:"load_at_home"`               // part of the load served in its zone
	First     float64 `json:"shards_on_their_first_node"` // part of the shards

	Join     change `json:"join"`
	Leave    change `json:"leave"`
	Zone     change `json:"zone_returns"`
	ZoneSame int    `json:"zone_returns_same_node"` // of those, to the node that they were on

	PlanFirst time.Duration `json:"plan_first_ns"` // of a cluster never placed
	PlanRest  time.Duration `json:"plan_rest_ns"`
}

// change is what one event moved: medians and the most of several.
type change struct {
	Ideal    float64 `json:"ideal"` // shards that no scheme could leave where they are
	Moved    float64 `json:"moved_median"`
	Most     int     `json:"moved_most"`
	Fullest  float64 `json:"fullest_of_mean"` // afterwards, the worst
	Elsewise int     `json:"moved_between_others_most"`
}

func main() {
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	short := flag.Bool("short", false, "a hundredth of the sites and each event once, none that takes minutes: whether it runs")
	flag.Parse()
	if err := run(*asJSON, *short); err != nil {
		fmt.Fprintln(os.Stderr, "placement:", err)
		os.Exit(1)
	}
}

func run(asJSON, short bool) error {
	sites, events, most := 1_000_000, 9, 1000
	if short {
		sites, events, most = sites/100, 1, 64
	}
	var results []result
	for _, c := range []struct{ nodes, shards int }{{3, 16}, {64, 64}, {64, 512}, {1000, 4096}} {
		r, err := measure(c.nodes, c.shards, sites, events, c.nodes <= most)
		if err != nil {
			return fmt.Errorf("%d nodes, %d shards: %w", c.nodes, c.shards, err)
		}
		results = append(results, r)
	}
	if asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(map[string]any{
			"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "results": results,
		})
	}
	return printTable(results)
}

// measure raises a cluster, places it, and does each event to a copy of it. A
// zone of two hundred nodes returns in hundreds of plans.
func measure(nodes, shards, sites, events int, zone bool) (r result, err error) {
	c := raise(nodes, shards, sites)
	r = result{Nodes: nodes, Shards: shards, Sites: sites}
	if r.PlanFirst, err = c.time(events); err != nil {
		return r, err
	}
	if _, err = c.rest(); err != nil {
		return r, err
	}
	if r.PlanRest, err = c.time(events); err != nil {
		return r, err
	}
	p, err := placement.Decide(c.View)
	if err != nil {
		return r, err
	}
	r.Fullest, r.AtHome = c.fullest(), c.atHome()
	r.Unbounded, r.First = c.byRank(p.Why)
	if r.Join, err = c.repeat(events, (*cluster).join); err != nil {
		return r, err
	}
	if r.Leave, err = c.repeat(events, (*cluster).leave); err != nil {
		return r, err
	}
	if zone {
		r.Zone, r.ZoneSame, err = c.loseZone()
	}
	return r, err
}

// repeat does an event to copies of the cluster, each time to another node.
func (c *cluster) repeat(times int, event func(*cluster, int) (happened, error)) (change, error) {
	var out change
	var moved []int
	for i := range times {
		h, err := event(c.clone(), i)
		if err != nil {
			return out, err
		}
		moved = append(moved, h.moved)
		out.Ideal += h.ideal / float64(times)
		out.Fullest = max(out.Fullest, h.fullest)
		out.Elsewise = max(out.Elsewise, h.elsewise)
	}
	slices.Sort(moved)
	out.Moved, out.Most = float64(moved[len(moved)/2]), moved[len(moved)-1]
	return out, nil
}

func printTable(results []result) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "nodes\tshards\tsites\tmax/mean\tby rank alone\tat home %\tfirst node %\tplan, first ms\tat rest ms\t")
	for _, r := range results {
		fmt.Fprintf(t, "%d\t%d\t%d\t%.2f\t%.2f\t%.1f\t%.0f\t%.1f\t%.1f\t\n", r.Nodes, r.Shards, r.Sites, r.Fullest, r.Unbounded,
			100*r.AtHome, 100*r.First, milliseconds(r.PlanFirst), milliseconds(r.PlanRest))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Println()
	fmt.Fprintln(t, "nodes\tshards\tevent\tideal\tmoved\tmost\tof these between others\tmax/mean after\t")
	for _, r := range results {
		for _, e := range []struct {
			name string
			change
		}{{"join", r.Join}, {"leave", r.Leave}, {fmt.Sprintf("zone returns (%d to the same node)", r.ZoneSame), r.Zone}} {
			if e.Ideal == 0 {
				continue // not done
			}
			fmt.Fprintf(t, "%d\t%d\t%s\t%.1f\t%.0f\t%d\t%d\t%.2f\t\n", r.Nodes, r.Shards, e.name, e.Ideal, e.Moved, e.Most, e.Elsewise, e.Fullest)
		}
	}
	return t.Flush()
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
