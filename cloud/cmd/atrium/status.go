package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

func newStatus(api *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the node and the progress of its shards",
		Example: "  atrium status\n  atrium status --json | jq '.shards[].applied'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			st, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(st)
			}
			return printStatus(cmd, st)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(cmd *cobra.Command, st client.Status) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "cluster %s, node %s, version %s, up since %s\n", st.Cluster, st.Node, st.Version, st.StartedAt.Local().Format(time.DateTime))
	fmt.Fprintf(out, "%d gateways connected, %d bytes not yet durable\n", st.Gateways, st.QueuedB)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "shard\tepoch\tfirst\tlast\tapplied\thistory\tsnapshot\t")
	for _, s := range st.Shards {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", s.Shard, s.Epoch, s.First, s.Last, s.Applied, s.Durable, s.Snapshot)
	}
	return w.Flush()
}
