package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

func nodeKind() kind {
	return kind{
		name: "node", columns: []string{"STATE", "ROLE", "ZONE", "CORES", "CPU", "LATE", "SHARDS", "GATEWAYS", "VERSION", "STARTED"},
		list: func(ctx context.Context, c *client.Client, _ id.Site) ([]entity, error) {
			all, err := c.Nodes(ctx)
			return live("node", func(n client.Node) string { return n.Node }, all, err)
		},
		row: func(state any) []string {
			n := state.(client.Node)
			return []string{
				stateText(n), role(n.Core), cmp.Or(n.Zone, "-"), fmt.Sprint(n.Capacity), percent(n.CPU), late(n),
				fmt.Sprint(len(n.Shards)), fmt.Sprint(n.Gateways), n.Version, ago(n.StartedAt),
			}
		},
	}
}

func role(core bool) string {
	if core {
		return "core"
	}
	return "worker"
}

// stateText is a node's state, and why it holds back.
func stateText(n client.Node) string {
	if len(n.Overload) == 0 {
		return n.State
	}
	return n.State + ", overloaded: " + strings.Join(n.Overload, " ")
}

// late is how long readings take at a node, from its gate to its twins.
func late(n client.Node) string { return fmt.Sprintf("%.0f ms", n.AckMS+n.DelayMS) }

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

func shardKind() kind {
	return kind{
		name: "shard", columns: []string{"OWNER", "STATE", "EPOCH", "SITES", "TARGET", "WHY"},
		list: func(ctx context.Context, c *client.Client, _ id.Site) ([]entity, error) {
			all, err := c.Shards(ctx)
			return live("shard", func(h client.Holding) string { return strconv.Itoa(h.Shard) }, all, err)
		},
		row: func(state any) []string {
			h := state.(client.Holding)
			return []string{cmp.Or(h.Owner, "-"), h.State, fmt.Sprint(h.Epoch), fmt.Sprint(h.Sites), cmp.Or(h.Target, "-"), cmp.Or(h.Rule, "-")}
		},
		details: func(ctx context.Context, c *client.Client, e entity) ([]section, error) {
			p, err := c.Why(ctx, e.State.(client.Holding).Shard)
			if err != nil {
				return nil, err
			}
			why := section{title: "why"}
			for line := range strings.Lines(p.Text) {
				why.rows = append(why.rows, []string{strings.TrimRight(line, "\n")})
			}
			return []section{why}, nil
		},
	}
}

func newPlacement(api *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "placement",
		Short:   "Ask where sites are and why",
		Example: "  atrium placement why hq",
	}
	cmd.AddCommand(newPlacementWhy(api))
	return cmd
}

func newPlacementWhy(api *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why SITE",
		Short: "Say why a site's shard is on its node, or on its way to another",
		Long: `why shows the last decision about the shard of a site: the rule, and the nodes as
the shard ranks them, with score, load and room. atrium describe shard does the
same for a shard by its number.`,
		Example: "  atrium placement why hq\n  atrium placement why hq --json | jq '.candidates[0]'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := id.ParseSite(args[0])
			if err != nil {
				return ops.Usage(err)
			}
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			p, err := c.Placement(cmd.Context(), site)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(p)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), p.Text)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.ValidArgsFunction = completeSite(api)
	return cmd
}

// completeNode completes NODE.
func completeNode(api *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeName(cmd, *api, nodeKind(), "")
	}
}
