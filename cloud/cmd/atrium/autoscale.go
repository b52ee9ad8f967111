package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/autoscale"
	"github.com/atrium-iot/atrium/shared/ops"
)

// commandGrace is how long a command may take to end after SIGTERM.
const commandGrace = 10 * time.Second

// autoscaleFlags are the flags of atrium autoscale.
type autoscaleFlags struct {
	out, in        string
	limits         autoscale.Limits
	every          time.Duration
	dryRun, asJSON bool
}

func newAutoscale(api *string) *cobra.Command {
	var f autoscaleFlags
	cmd := &cobra.Command{
		Use:   "autoscale",
		Short: "Add and take out nodes by the cluster's advice",
		Long: `autoscale asks the cluster again and again whether it should grow or shrink, and
runs a shell command that starts a node (--out) or stops one (--in), one at a
time. A node that is to go is drained first, and the command runs when it serves
nothing; if anything fails, the drain is taken back. Commands see ATRIUM_ACTION
(out or in) and ATRIUM_NODE (the node to stop) in their environment; what they
print goes to stderr. Without a command for a direction nothing is done in it.

It never stops a core node: these hold the store. It keeps nothing: it may be
stopped and started at any time, but run one a cluster.`,
		Example: "  atrium autoscale --dry-run --max 6\n  atrium autoscale --max 6 --out './start-worker' --in 'ssh \"$ATRIUM_NODE\" systemctl stop atrium-cloud'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAutoscale(cmd, *api, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.out, "out", "", "shell command that starts a node and does not wait for its end")
	fl.StringVar(&f.in, "in", "", "shell command that stops the node $ATRIUM_NODE")
	fl.IntVar(&f.limits.Min, "min", 1, "the fewest nodes; with fewer one is started at once")
	fl.IntVar(&f.limits.Max, "max", 0, "the most nodes")
	fl.DurationVar(&f.every, "every", autoscale.Every, "how often to ask the cluster")
	fl.BoolVar(&f.dryRun, "dry-run", false, "look once, say what would be done, and do nothing")
	fl.BoolVar(&f.asJSON, "json", false, "print a JSON object a line")
	return cmd
}

func (f autoscaleFlags) check() error {
	switch {
	case f.limits.Min < 1:
		return fmt.Errorf("--min %d: want 1 or more", f.limits.Min)
	case f.limits.Max == 0:
		return errors.New("--max: want the most nodes that you would pay for")
	case f.limits.Max < f.limits.Min:
		return fmt.Errorf("--max %d: want --min (%d) or more", f.limits.Max, f.limits.Min)
	case f.every < time.Second:
		return fmt.Errorf("--every %v: want 1s or more", f.every)
	case f.out == "" && f.in == "" && !f.dryRun:
		return errors.New("want --out, --in or --dry-run")
	}
	return nil
}

func runAutoscale(cmd *cobra.Command, api string, f autoscaleFlags) error {
	if err := f.check(); err != nil {
		return ops.Usage(err)
	}
	c, err := client.New(api)
	if err != nil {
		return err
	}
	tell := sayAutoscale(cmd.OutOrStdout())
	if f.asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		tell = func(e autoscale.Event) error { return enc.Encode(e) }
	}
	if f.dryRun {
		a, err := autoscale.Look(cmd.Context(), c, f.limits)
		if err != nil {
			return err
		}
		return tell(autoscale.Event{At: time.Now().UTC(), Step: "decided", Action: a})
	}
	cfg := autoscale.Config{Limits: f.limits, Every: f.every, Tell: tell}
	if f.out != "" {
		cfg.Out = func(ctx context.Context) error { return shell(ctx, cmd.ErrOrStderr(), f.out, "out", "") }
	}
	if f.in != "" {
		cfg.In = func(ctx context.Context, node string) error { return shell(ctx, cmd.ErrOrStderr(), f.in, "in", node) }
	}
	return autoscale.Run(cmd.Context(), c, cfg)
}

// sayAutoscale prints events for people.
func sayAutoscale(out io.Writer) func(autoscale.Event) error {
	return func(e autoscale.Event) error {
		text := e.Do
		if e.Node != "" {
			text += " " + e.Node
		}
		switch {
		case e.Error != "":
			text += " failed: " + e.Error
		case e.Step == "decided":
			text += ": " + e.Why
		default:
			text += ": " + e.Step
		}
		_, err := fmt.Fprintln(out, e.At.Local().Format(time.TimeOnly), text)
		return err
	}
}

// shell runs a command line to its end, or to ctx's, upon which it gets SIGTERM.
func shell(ctx context.Context, out io.Writer, line, action, node string) error {
	c := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	c.Env = append(os.Environ(), "ATRIUM_ACTION="+action, "ATRIUM_NODE="+node)
	c.Stdout, c.Stderr = out, out
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = commandGrace
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}
