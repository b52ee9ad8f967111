package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

const (
	// clusterEvery is how often watch cluster looks.
	clusterEvery = time.Second
	// clusterWidth and clusterHeight are the least that a table needs.
	clusterWidth, clusterHeight = 60, 8
	// home puts the cursor into the upper left corner and clears what is below.
	home = "\x1b[H\x1b[J"
)

// clusterState is the cluster as one node sees it.
type clusterState struct {
	At     time.Time        `json:"at"`
	Nodes  []client.Node    `json:"nodes"`
	Shards []client.Holding `json:"shards"`
	Advice client.Advice    `json:"advice"`
}

// showCluster shows a state, or with broken that the node did not answer.
type showCluster func(out io.Writer, s clusterState, broken error) error

func newWatchCluster(api *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Watch nodes, and shards on their way",
		Long: `cluster shows the nodes with their load, the shards that are not where they are to
be, and the advice to grow or shrink, drawn again every second until Ctrl-C.
Without a terminal it prints a line for each change, with --json a whole state a
line. If the node that is asked goes away, it says so and asks again.

A site that is named cluster is watched with all others, by atrium watch.`,
		Example: "  atrium watch cluster\n  atrium watch cluster --json | jq -c '.advice'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			show := (&clusterLines{}).show
			if asJSON {
				show = clusterJSON(cmd.ErrOrStderr())
			} else if _, _, ok := screenOf(cmd, clusterWidth, clusterHeight); ok {
				show = drawCluster
			}
			return watchCluster(cmd.Context(), c, cmd.OutOrStdout(), show)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return cmd
}

// watchCluster looks again and again until ctx is done, which is no error. A
// node that can't be reached at first is one.
func watchCluster(ctx context.Context, c *client.Client, out io.Writer, show showCluster) error {
	tick := time.NewTicker(clusterEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		s, err := lookAtCluster(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && (first || client.NotFound(err)) {
			return err
		}
		if err := show(out, s, err); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func lookAtCluster(ctx context.Context, c *client.Client) (s clusterState, err error) {
	var faults [3]error
	s.Nodes, faults[0] = c.Nodes(ctx)
	s.Shards, faults[1] = c.Shards(ctx)
	s.Advice, faults[2] = c.Advice(ctx)
	s.At = time.Now().UTC()
	return s, cmp.Or(faults[0], faults[1], faults[2])
}

// clusterJSON prints what it can print, and on errors that it could not look.
func clusterJSON(errs io.Writer) showCluster {
	return func(out io.Writer, s clusterState, broken error) error {
		if broken != nil {
			_, err := fmt.Fprintf(errs, "no answer (%v), trying again\n", broken)
			return err
		}
		return json.NewEncoder(out).Encode(s)
	}
}

// drawCluster draws a terminal anew, in one write so that it does not flicker.
// While the node does not answer, the table stays and the last line says so.
func drawCluster(out io.Writer, s clusterState, broken error) error {
	var b bytes.Buffer
	if broken != nil {
		fmt.Fprintf(&b, "\r\x1b[Kno answer since %s (%v), trying again", s.At.Local().Format(time.TimeOnly), broken)
	} else {
		b.WriteString(home)
		if err := printCluster(&b, s); err != nil {
			return err
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}

func printCluster(out io.Writer, s clusterState) error {
	k := nodeKind()
	all, _ := live(k.name, func(n client.Node) string { return n.Node }, s.Nodes, nil)
	if err := k.printTable(out, all); err != nil {
		return err
	}
	states, away := make(map[string]int), section{}
	for _, h := range s.Shards {
		states[h.State]++
		if h.State != "active" || h.Target != "" && h.Target != h.Owner {
			away.rows = append(away.rows, []string{fmt.Sprintf("shard %d", h.Shard), cmp.Or(h.Owner, "-"), h.State, "-> " + cmp.Or(h.Target, "?"), h.Rule})
		}
	}
	fmt.Fprintf(out, "\n%d shards", len(s.Shards))
	for _, state := range []string{"active", "recovering", "offered", "unclaimed"} {
		if states[state] > 0 {
			fmt.Fprintf(out, ", %d %s", states[state], state)
		}
	}
	fmt.Fprintln(out)
	if err := away.print(out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nadvice: %s: %s\n%s\n", s.Advice.Action, s.Advice.Why, s.At.Local().Format(time.TimeOnly))
	return err
}

// clusterLines prints what differs from the state before. Of the first it tells
// all.
type clusterLines struct {
	nodes  map[string]client.Node
	shards map[int]client.Holding
	advice string
	broken bool
}

func (l *clusterLines) show(out io.Writer, s clusterState, broken error) (err error) {
	say := func(format string, args ...any) {
		_, e := fmt.Fprintf(out, s.At.Local().Format(time.TimeOnly)+" "+format+"\n", args...)
		err = errors.Join(err, e)
	}
	if broken != nil {
		if !l.broken {
			say("no answer (%v), trying again", broken)
		}
		l.broken = true
		return err
	}
	before := *l
	*l = clusterLines{nodes: map[string]client.Node{}, shards: map[int]client.Holding{}, advice: s.Advice.Action}
	for _, n := range s.Nodes {
		l.nodes[n.Node] = n
		if was, known := before.nodes[n.Node]; !known || stateText(was) != stateText(n) {
			say("node %s: %s, %s", n.Node, role(n.Core), stateText(n))
		}
	}
	for name := range before.nodes {
		if _, known := l.nodes[name]; !known {
			say("node %s: gone", name)
		}
	}
	for _, h := range s.Shards {
		l.shards[h.Shard] = h
		if was, known := before.shards[h.Shard]; !known || was.Owner != h.Owner || was.State != h.State {
			say("shard %d: %s, %s", h.Shard, cmp.Or(h.Owner, "nobody"), h.State)
		}
	}
	if before.advice != l.advice {
		say("advice: %s: %s", s.Advice.Action, s.Advice.Why)
	}
	return err
}
