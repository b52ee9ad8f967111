// Command atrium-sim is hardware and networks without either: it serves a
// simulated board over a unix socket, relays UDP over a bad link, or runs a
// fleet of gateways with boards of their own.
//
// Every subcommand runs until SIGINT or SIGTERM, which end it cleanly. It
// prints one line that begins with "ready" on standard output once it serves,
// logs on standard error, and ends with one line and status 1 when it cannot.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/shared/ops"
)

func main() { os.Exit(ops.Run(newRoot())) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "atrium-sim",
		Short: "Simulated boards, bad links and fleets of gateways for Atrium",
		Example: `  atrium-sim board --socket /tmp/board.sock --config board.yaml
  atrium-sim link --listen 127.0.0.1:7001 --to 127.0.0.1:7000 --control 127.0.0.1:7002
  atrium-sim fleet --cloud 127.0.0.1:7443 --identities ./identities --state ./fleet`,
	}
	out := &output{}
	root.PersistentFlags().BoolVar(&out.json, "json", false, "print the ready line as JSON")
	root.PersistentFlags().StringVar(&out.level, "log-level", "info", "what to log: debug, info, warn or error")
	root.AddCommand(newBoard(out), newLink(out), newFleet(out))
	return root
}
