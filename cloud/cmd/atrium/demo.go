package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/demo"
	"github.com/atrium-iot/atrium/cloud/demo/screen"
	"github.com/atrium-iot/atrium/shared/ops"
)

// demoSettle is how long the verification at the end waits for what is under
// way.
const demoSettle = 15 * time.Second

// demoFlags are the flags of atrium demo.
type demoFlags struct {
	bin, dir, http string
	keep, plain    bool
	duration       time.Duration
}

func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole Atrium on this machine and watch it",
		Long: `demo starts a cloud node, and in two sites a simulated board with ten chips, a
link and a gateway, as processes of their own, and shows what happens. Keys cut
and heal links, kill processes, break a sensor and switch a heater; v stops the
gateways and counts what was lost. It needs no configuration and no hardware, and
leaves nothing behind. In a terminal of less than 72 by 20, a dumb one, or none,
it prints lines.`,
		Example: "  atrium demo\n  atrium demo --plain --for 20s",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.bin, "bin", "", "folder with atrium-cloud, atrium-edge and atrium-sim (default: this program's)")
	fl.StringVar(&f.dir, "dir", "", "folder for everything that is written, kept afterwards (default: a temporary one, removed)")
	fl.StringVar(&f.http, "http", "127.0.0.1:7480", "the cloud node's HTTP address; a free port if it is taken")
	fl.BoolVar(&f.keep, "keep", false, "keep the temporary folder")
	fl.BoolVar(&f.plain, "plain", false, "print lines, also in a terminal")
	fl.DurationVar(&f.duration, "for", 0, "verify and end after so long (default: when a key or Ctrl-C says so)")
	return cmd
}

func runDemo(cmd *cobra.Command, f demoFlags) (err error) {
	if f.duration < 0 {
		return ops.Usage(fmt.Errorf("--for %s: want a duration such as 20s", f.duration))
	}
	cfg, remove, err := f.config()
	if err != nil {
		return err
	}
	// A terminal that is closed sends SIGHUP.
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
	defer stop()
	cmd.SetContext(ctx)
	defer func() {
		switch {
		case ctx.Err() != nil && err != nil:
			err = errors.Join(errors.New("demo: interrupted"), remove())
		case err == nil:
			err = remove()
		case f.dir != "" || os.Remove(cfg.Dir) != nil: // something was written
			err = fmt.Errorf("%w; logs and data are in %s", err, cfg.Dir)
		}
	}()
	out := cmd.OutOrStdout()
	begin := time.Now()
	say := func(text string) { fmt.Fprintf(out, "%5.1f s  %s\n", time.Since(begin).Seconds(), text) }
	d, err := demo.Start(ctx, cfg, say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	say("running: " + d.API() + " has the live page; from another terminal: " + d.Hint())
	check, err := f.watch(cmd, d)
	if err != nil || !check {
		return err
	}
	return verifyDemo(cmd, d, say)
}

// config makes the folder. remove takes it away again, unless it is to stay.
func (f demoFlags) config() (cfg demo.Config, remove func() error, err error) {
	cfg = demo.Config{Bin: f.bin, Dir: f.dir, HTTP: f.http}
	if cfg.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return cfg, nil, fmt.Errorf("demo: %w", err)
		}
		cfg.Bin = filepath.Dir(self)
	}
	if cfg.Bin, err = filepath.Abs(cfg.Bin); err != nil {
		return cfg, nil, fmt.Errorf("demo: %w", err)
	}
	remove = func() error { return nil }
	if cfg.Dir != "" {
		if cfg.Dir, err = filepath.Abs(cfg.Dir); err == nil {
			err = os.MkdirAll(cfg.Dir, 0o700)
		}
	} else if cfg.Dir, err = os.MkdirTemp("", "atrium-demo-"); err == nil && !f.keep {
		remove = func() error { return os.RemoveAll(cfg.Dir) }
	}
	if err != nil {
		return cfg, nil, fmt.Errorf("demo: %w", err)
	}
	return cfg, remove, nil
}

// watch shows the demonstration until a person, the clock or a signal ends it,
// and reports whether it is to be verified.
func (f demoFlags) watch(cmd *cobra.Command, d *demo.Demo) (check bool, err error) {
	ctx := cmd.Context()
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	feed := demo.NewFeed(d)
	fed := make(chan error, 1)
	go func() { fed <- feed.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-fed)
	}()
	if in, out, ok := screenOf(cmd, screen.MinWidth, screen.MinHeight); ok && !f.plain {
		end, err := screen.Show(ctx, feed, in, out)
		return end == screen.Verify || cmd.Context().Err() == nil && ctx.Err() != nil, err
	}
	if err := screen.Lines(ctx, feed, cmd.OutOrStdout()); err != nil {
		return false, err
	}
	return cmd.Context().Err() == nil, nil // the time is over, and nobody said stop
}

// verifyDemo heals what is broken, stops the gateways, which drain, and counts.
func verifyDemo(cmd *cobra.Command, d *demo.Demo, say func(string)) error {
	ctx := cmd.Context()
	say("healing the links, waiting for every process, then stopping the gateways: they drain what they hold")
	if err := d.Settle(ctx); err != nil {
		return err
	}
	samples, err := readTruth(d.Truths())
	if err != nil {
		return err
	}
	report, err := settled(ctx, d.Client(), samples, demoSettle)
	if err != nil {
		return err
	}
	if err := printReport(cmd, report, false); err != nil {
		return err
	}
	if !report.OK() {
		return ops.ErrReported
	}
	return nil
}

func newLink() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "link",
		Short:   "Cut or heal a link of the running demonstration",
		Example: "  atrium link cut hq\n  atrium link heal hq",
	}
	for _, way := range []struct {
		name, short string
		cut         bool
	}{{"cut", "Lose every packet of a site's link", true}, {"heal", "Let packets through again", false}} {
		cmd.AddCommand(&cobra.Command{
			Use: way.name + " SITE", Short: way.short, Example: "  atrium link " + way.name + " hq", Args: cobra.ExactArgs(1),
			ValidArgsFunction: completeDemoSites,
			RunE: func(_ *cobra.Command, args []string) error {
				site, err := demoSite(args[0])
				if err != nil {
					return err
				}
				return site.SetLink(way.cut)
			},
		})
	}
	return cmd
}

func demoSite(name string) (demo.SiteState, error) {
	state, err := demo.ReadState(demo.StateFile())
	if err != nil {
		return demo.SiteState{}, err
	}
	return state.Site(name)
}

func completeDemoSites(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	state, err := demo.ReadState(demo.StateFile())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range state.Sites {
		names = append(names, s.Site)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func newKill() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "kill",
		Short:   "Kill -9 a process of the running demonstration, which starts it again",
		Example: "  atrium kill gateway hq\n  atrium kill cloud",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "gateway SITE", Short: "Kill a site's gateway", Example: "  atrium kill gateway hq", Args: cobra.ExactArgs(1),
			ValidArgsFunction: completeDemoSites,
			RunE: func(_ *cobra.Command, args []string) error {
				site, err := demoSite(args[0])
				if err != nil {
					return err
				}
				return site.Gateway.Kill()
			},
		},
		&cobra.Command{
			Use: "cloud", Short: "Kill the cloud node", Example: "  atrium kill cloud", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				state, err := demo.ReadState(demo.StateFile())
				if err != nil {
					return err
				}
				return state.Cloud.Kill()
			},
		},
	)
	return cmd
}
