package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/edge/doctor"
)

// errIll says what the list before it means for the exit status.
var errIll = errors.New("doctor: the gateway cannot do its work like this")

func newDoctor() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with the machine and the configuration",
		Long: `doctor looks at the machine that the gateway runs on, or will: what a power cut
takes, the state folder, free space, clocks, identity, names, socket buffers,
power, memory and the buses' nodes. It changes nothing, and works beside a
gateway that runs. The status is 1 if a check fails; a warning is none.`,
		Example: "  atrium-edge doctor --config /etc/atrium/edge.yaml\n  atrium-edge doctor --json | jq '.[] | select(.level != \"ok\")'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agent.LoadConfig(file)
			if err != nil {
				return err
			}
			facts := doctor.Look(cmd.Context(), cfg.Subject(), "")
			found := doctor.Examine(&facts)
			if err := printFindings(cmd.OutOrStdout(), found, asJSON); err != nil {
				return err
			}
			if doctor.Failed(found) {
				return errIll
			}
			return nil
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printFindings(out io.Writer, found []doctor.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(found)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range found {
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", f.Level, f.Name, f.Text); err != nil {
			return err
		}
		if f.Hint != "" {
			if _, err := fmt.Fprintf(w, "\t\t-> %s\n", f.Hint); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}
