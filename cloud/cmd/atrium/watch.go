package main

import (
	"io"
	"os"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/watch"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

func newWatch(api *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watch [SITE...]",
		Short: "Watch devices and alarms as they change",
		Long: `watch shows the devices of some sites, or of all, with their values and ages, and
the active alarms, until q or Ctrl-C. In a dumb terminal, or without one, it
prints a line for each change. If the node goes away it says so and comes back
with it. With --json it prints the events of the live stream: first the whole
state, up to {"ready":{}}, then what changes.`,
		Example: "  atrium watch\n  atrium watch hq lab\n  atrium watch hq --json | jq -c 'select(.alarm)'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var sites []id.Site
			for _, a := range args {
				site, err := id.ParseSite(a)
				if err != nil {
					return ops.Usage(err)
				}
				sites = append(sites, site)
			}
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			if asJSON {
				return watch.Follow(ctx, c, sites, watch.JSON{Out: out, Errors: cmd.ErrOrStderr()})
			}
			if in, screen, ok := screenOf(cmd, watch.MinWidth, watch.MinHeight); ok {
				return watch.Show(ctx, c, sites, *api, in, screen)
			}
			return watch.Follow(ctx, c, sites, watch.Lines{Out: out})
		},
	}
	cmd.ValidArgsFunction = completeWatch(api)
	cmd.AddCommand(newWatchCluster(api))
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return cmd
}

// screenOf returns the terminal that a live view of at least that size may use.
func screenOf(cmd *cobra.Command, minWidth, minHeight int) (io.Reader, io.Writer, bool) {
	in, ok1 := cmd.InOrStdin().(*os.File)
	out, ok2 := cmd.OutOrStdout().(*os.File)
	if os.Getenv("TERM") == "dumb" || !ok1 || !ok2 || !term.IsTerminal(in.Fd()) || !term.IsTerminal(out.Fd()) {
		return nil, nil, false
	}
	width, height, err := term.GetSize(out.Fd())
	return in, out, err == nil && width >= minWidth && height >= minHeight
}
