package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

func newSite(api *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "site",
		Short:   "Move sites between shards",
		Example: "  atrium site move hq --to 5 --wait",
	}
	cmd.AddCommand(newMove(api))
	return cmd
}

// moveFlags are the flags of atrium site move.
type moveFlags struct {
	to           int
	wait, asJSON bool
}

func newMove(api *string) *cobra.Command {
	var f moveFlags
	cmd := &cobra.Command{
		Use:   "move SITE --to SHARD",
		Short: "Move a site to another shard",
		Long: `move has the owner of a site's shard hand the site to the owner of another one, with
all that it has. Its gateways go on sending and nothing of theirs is lost; commands
and questions get 503 for a moment, and its history follows in the background.
With --wait it ends when the site is there; Ctrl-C ends only the waiting. A move
that has begun can't be taken back: move the site again when it is there.

atrium get sites says in which shard each site is, atrium describe site where one
is on its way to.`,
		Example: "  atrium site move hq --to 5 --wait\n  atrium site move hq --to 5 --wait --json | jq .state",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := id.ParseSite(args[0])
			if err != nil {
				return ops.Usage(err)
			}
			if !cmd.Flags().Changed("to") { // 0 is a shard
				return ops.Usage(errors.New("--to: want the shard to move to: atrium get shards lists them"))
			}
			return runMove(cmd, *api, f, site)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.to, "to", 0, "the shard that the site is to be in")
	fl.BoolVar(&f.wait, "wait", false, "wait until the site is there")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON, with --wait an object for each change")
	cmd.ValidArgsFunction = completeSite(api)
	return cmd
}

func runMove(cmd *cobra.Command, api string, f moveFlags, site id.Site) error {
	c, err := client.New(api)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	s, err := c.MoveSite(ctx, site, f.to)
	if err != nil {
		return err
	}
	say := sayMove
	if f.asJSON {
		say = func(out io.Writer, s client.SiteShard) error { return json.NewEncoder(out).Encode(s) }
	}
	if err := say(cmd.OutOrStdout(), s); err != nil || !f.wait {
		return err
	}
	there, err := c.Settled(ctx, s)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("no longer waiting: %s moves on to shard %d; atrium describe site %s says where it is", site, f.to, site)
	case err != nil:
		return fmt.Errorf("%w; the move goes on: atrium describe site %s says where it is", err, site)
	}
	return say(cmd.OutOrStdout(), there)
}

// sayMove says where a site is.
func sayMove(out io.Writer, s client.SiteShard) error {
	text := fmt.Sprintf("%s is in shard %d", s.Site, s.Shard)
	if s.To != nil {
		text = fmt.Sprintf("%s moves from shard %d to %d", s.Site, s.Shard, *s.To)
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
