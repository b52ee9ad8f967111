// Command atrium-edge is the gateway's agent: it samples the devices of one
// gateway, keeps what is not yet safe and sends it to the cloud. It parses
// flags and prints; the work is edge/agent's.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/shared/ops"
)

func main() {
	os.Exit(ops.Run(newRoot()))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "atrium-edge",
		Short:   "Atrium's gateway agent",
		Long:    "atrium-edge samples a gateway's devices, keeps readings that are not yet safe on disk, and sends them to the cloud.",
		Example: "  atrium-edge config check --config /etc/atrium/edge.yaml\n  atrium-edge run --config /etc/atrium/edge.yaml",
	}
	root.AddCommand(newRun(), newConfig(), newStatus(), newDoctor(), newFrame())
	return root
}

func newRun() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent until SIGINT or SIGTERM",
		Long: `run samples, buffers and sends until SIGINT or SIGTERM, then commits what was
sampled, waits up to "drain" for the cloud's acks, and exits with status 0.
SIGHUP reads the configuration's devices again; the buffer is not touched.`,
		Example: "  atrium-edge run --config /etc/atrium/edge.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agent.LoadConfig(file)
			if err != nil {
				return err
			}
			log, err := ops.NewLogger(cmd.ErrOrStderr(), cfg.Log)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			cfg.OwnProcess()
			return agent.Run(cmd.Context(), cfg, log)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at a configuration", Example: "  atrium-edge config check --config edge.yaml --json"}
	var file string
	var asJSON bool
	check := &cobra.Command{
		Use:     "check",
		Short:   "Check a configuration and the profiles that it names, without running it",
		Example: "  atrium-edge config check --config edge.yaml\n  atrium-edge config check --config edge.yaml --json | jq .devices",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agent.LoadConfig(file)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(map[string]any{"gateway": cfg.Gateway, "buses": len(cfg.Buses), "devices": len(cfg.Devices), "mode": cfg.Buffer.Mode.String()})
			}
			_, err = fmt.Fprintf(out, "%s: ok: gateway %s, %d buses, %d devices, mode %s\n", file, cfg.Gateway, len(cfg.Buses), len(cfg.Devices), cfg.Buffer.Mode)
			return err
		},
	}
	configFlag(check, &file)
	check.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(check)
	return cmd
}

func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "/etc/atrium/edge.yaml", "the gateway's configuration")
}
