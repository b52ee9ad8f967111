package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/ops"
)

func newNode(api *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "Take nodes out of the cluster",
		Example: "  atrium node drain n4 --wait",
	}
	cmd.AddCommand(newDrain(api))
	return cmd
}

// drainFlags are the flags of atrium node drain.
type drainFlags struct{ undo, wait, asJSON bool }

func newDrain(api *string) *cobra.Command {
	var f drainFlags
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Empty a node, so that it may be stopped",
		Long: `drain has a node hand its shards to others, two at a time, and get none. Its sites
stay served: each hand-over holds up commands for about a second. With --wait it
says how it goes on and ends when the node serves nothing; Ctrl-C ends only the
waiting. A drain lasts over restarts of the node, until --undo.

A node that gets SIGTERM drains by itself before it stops: drain is for what is
to be empty and go on running, or to be stopped from elsewhere.`,
		Example: "  atrium node drain n4 --wait\n  atrium node drain n4 --undo\n  atrium node drain n4 --json | jq .shards",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runDrain(cmd, *api, f, args[0]) },
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.undo, "undo", false, "let the node have shards again")
	fl.BoolVar(&f.wait, "wait", false, "wait until the node serves nothing")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON, with --wait an object for each change")
	cmd.ValidArgsFunction = completeNode(api)
	return cmd
}

func runDrain(cmd *cobra.Command, api string, f drainFlags, node string) error {
	if f.undo && f.wait {
		return ops.Usage(errors.New("--undo and --wait: want one of them"))
	}
	c, err := client.New(api)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	d, err := c.Drain(ctx, node, !f.undo)
	if err != nil {
		return err
	}
	say := sayDrain
	if f.asJSON {
		say = func(out io.Writer, d client.Drain) error { return json.NewEncoder(out).Encode(d) }
	}
	if !f.wait {
		return say(cmd.OutOrStdout(), d)
	}
	err = c.Emptied(ctx, d, func(d client.Drain) error { return say(cmd.OutOrStdout(), d) })
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("no longer waiting: %s is drained on; atrium node drain %s --undo stops that", node, node)
	}
	return err
}

// sayDrain says how far a drain is, and when the node may stop.
func sayDrain(out io.Writer, d client.Drain) error {
	text := fmt.Sprintf("%s hands its shards over: %d left", d.Node, d.Shards)
	switch {
	case !d.Drain:
		text = d.Node + " is not drained: it may have shards"
	case d.Shards == 0 && d.Core:
		text = d.Node + " serves nothing. It is a core node and still holds the store: it may be stopped while most other core nodes run"
	case d.Shards == 0:
		text = d.Node + " serves nothing: it may be stopped"
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
