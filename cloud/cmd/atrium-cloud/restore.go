package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/node"
)

func newRestore() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Say of a data folder that it was put back from a backup",
		Long: `restore marks a data folder that was put back from a backup, before its node is
started. The start then begins a new incarnation of the cluster, so that nothing
of the time that is lost, an owner that still runs or a message that is late, is
taken for the present. In a cluster it is enough to mark one core node's folder.

A backup is a copy of the whole data folder of a node that is stopped; of a
cluster, of the three core nodes' while all of them are. Stop every node, workers
too, before folders are put back.`,
		Example: "  cp -a ./backup ./cloud-data\n  atrium-cloud restore --data ./cloud-data\n  atrium-cloud run --data ./cloud-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := node.MarkRestored(data); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: the next start begins a new incarnation of the cluster\n", data)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultData, "folder of the node")
	return cmd
}
