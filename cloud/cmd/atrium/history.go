package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

// historyFlags are the flags of atrium history.
type historyFlags struct {
	since, until, pipeline string
	raw, asJSON, asCSV     bool
}

func newHistory(api *string) *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "history SITE/DEVICE POINT",
		Short: "Plot or print the history of a point",
		Long: `history shows what a point reported: as a plot in a terminal, as a table elsewhere.
With --pipeline instead of POINT it shows the windows of that pipeline, of which
a plot has the means. Where there are no readings, a plot has a gap.`,
		Example: "  atrium history hq/office-air temperature --since 1h\n  atrium history hq/office-air temperature --since 2026-05-04T12:00:00Z --until 10m --csv\n  atrium history hq/office-air --pipeline office-too-warm",
		Args:    cobra.RangeArgs(1, 2),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, *api, args) },
	}
	cmd.ValidArgsFunction = completeHistory(api)
	fl := cmd.Flags()
	fl.StringVar(&f.since, "since", "1h", "how far back, or from when (RFC 3339)")
	fl.StringVar(&f.until, "until", "0s", "up to how long ago, or when (RFC 3339)")
	fl.StringVar(&f.pipeline, "pipeline", "", "show the windows of this pipeline of the site")
	fl.BoolVar(&f.raw, "raw", false, "add the identity of each reading")
	fl.BoolVar(&f.asJSON, "json", false, "print a JSON object a line")
	fl.BoolVar(&f.asCSV, "csv", false, "print comma-separated values")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	cmd.MarkFlagsMutuallyExclusive("raw", "pipeline")
	return cmd
}

func (f historyFlags) run(cmd *cobra.Command, api string, args []string) error {
	dev, err := id.ParseDevice(args[0])
	if err != nil {
		return ops.Usage(err)
	}
	s, err := f.span(time.Now())
	if err != nil {
		return ops.Usage(err)
	}
	if (len(args) == 2) == (f.pipeline != "") {
		return ops.Usage(errors.New("want either a POINT or --pipeline NAME"))
	}
	c, err := client.New(api)
	if err != nil {
		return err
	}
	if err := f.print(cmd, c, dev, args, s); err != nil {
		return err
	}
	return noteIncomplete(cmd, c, dev.Site)
}

// noteIncomplete says that some of what was printed may be missing.
func noteIncomplete(cmd *cobra.Command, c *client.Client, site id.Site) error {
	err := c.Complete(cmd.Context(), site)
	if errors.Is(err, client.ErrIncomplete) {
		fmt.Fprintf(cmd.ErrOrStderr(), "some may be missing: site %s has moved to another node, and its history is still being filled in\n", site)
		return nil
	}
	return err
}

// print prints the readings or windows of a device.
func (f historyFlags) print(cmd *cobra.Command, c *client.Client, dev id.Device, args []string, s span) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if f.pipeline != "" {
		name, err := id.ParsePipeline(string(dev.Site) + "/" + f.pipeline)
		if err != nil {
			return ops.Usage(err)
		}
		rows := c.Windows(ctx, name, dev.Name, s.since, s.until)
		if width, ok := f.plots(cmd); ok {
			return plot(out, s, width, fmt.Sprintf("%s, means of %s", dev, name), windowSamples(rows))
		}
		return printRows(out, f.format(), windowColumns(), rows)
	}
	point, err := id.ParsePoint(args[1])
	if err != nil {
		return ops.Usage(err)
	}
	rows := c.History(ctx, dev, point, s.since, s.until, f.raw)
	if width, ok := f.plots(cmd); ok {
		return plot(out, s, width, fmt.Sprintf("%s %s", dev, point), readingSamples(rows))
	}
	return printRows(out, f.format(), readingColumns(f.raw), rows)
}

// span is a span of time.
type span struct{ since, until time.Time }

func (f historyFlags) span(now time.Time) (s span, err error) {
	if s.since, err = moment(f.since, now); err != nil {
		return s, fmt.Errorf("--since: %w", err)
	}
	if s.until, err = moment(f.until, now); err != nil {
		return s, fmt.Errorf("--until: %w", err)
	}
	if !s.since.Before(s.until) {
		return s, fmt.Errorf("--since %s is not before --until %s", f.since, f.until)
	}
	return s, nil
}

// moment reads how long ago something was, or when.
func moment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q: want a duration such as 90m or a time such as 2026-05-04T12:00:00Z", text)
	}
	return t, nil
}

func (f historyFlags) format() rowFormat {
	switch {
	case f.asJSON:
		return rowsJSON
	case f.asCSV:
		return rowsCSV
	}
	return rowsTable
}

// plots reports whether to plot, and the columns of the terminal.
func (f historyFlags) plots(cmd *cobra.Command) (width int, ok bool) {
	out, isFile := cmd.OutOrStdout().(*os.File)
	if f.raw || f.asJSON || f.asCSV || os.Getenv("TERM") == "dumb" || !isFile || !term.IsTerminal(out.Fd()) {
		return 0, false
	}
	width, _, err := term.GetSize(out.Fd())
	return width, err == nil && width >= minPlot
}
