// Command atrium is the user's command line: it asks a cloud node's HTTP API
// and prints. What is right and wrong about an answer is decided elsewhere:
// cloud/verify compares, cloud/api/client fetches.
package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/shared/ops"
)

func main() {
	os.Exit(ops.Run(newRoot()))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "atrium",
		Short:   "Ask an Atrium cloud node",
		Long:    "atrium asks a cloud node's HTTP API: what there is, how it is and was; it commands\ndevices, applies documents, moves sites, empties nodes, and verifies that no reading\nwas lost.",
		Example: "  atrium demo\n  atrium get devices hq\n  atrium history hq/office-air temperature --since 1h\n  atrium command hq/office-heater set on\n  atrium verify --truth board-truth.jsonl",
	}
	var api string
	root.PersistentFlags().StringVar(&api, "api", "http://127.0.0.1:7480", "the cloud node's HTTP address")
	root.AddCommand(
		newStatus(&api), newGet(&api), newDescribe(&api), newWatch(&api), newHistory(&api), newCommand(&api), newVerify(&api),
		newApply(&api), newDiff(&api), newDelete(&api),
		newPlacement(&api), newSite(&api), newNode(&api), newAutoscale(&api),
		newDemo(), newLink(), newKill(),
	)
	for _, cmd := range root.Commands() {
		pointToNode(cmd)
	}
	return root
}

// pointToNode says the way out where nobody listens.
func pointToNode(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		pointToNode(c)
	}
	run := cmd.RunE
	if run == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("%w; start a cloud node, or say with --api where it is", err)
		}
		return err
	}
}
