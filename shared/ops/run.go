package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// ErrReported is returned by a command that has already said on its own output
// why it failed (a failed verification): only the exit status is left to tell.
var ErrReported = errors.New("failed as printed")

// The exit statuses of every program.
const (
	exitFailed = 1 // it was tried, and something is wrong
	exitUsage  = 2 // the command line is wrong, and nothing was tried
)

// usageError is a fault of the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage marks an error as one of the command line, for what cobra's own checks
// of flags and arguments can't see.
func Usage(err error) error { return usageError{err} }

// Run executes root with a context that SIGINT and SIGTERM cancel and returns
// the exit status: 0, or after one line on stderr that names the program and
// the error, 2 if the command line is wrong and 1 otherwise. An unknown
// subcommand is an error at every level of the tree.
func Run(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = Version()
	refuseUnknown(root)
	markUsage(root)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !errors.Is(err, ErrReported):
		// errors.Join puts each error on a line of its own.
		fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

// markUsage makes usage errors of what cobra says about flags and arguments.
func markUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return Usage(err)
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		markUsage(c)
	}
}

// refuseUnknown makes every command that only groups others fail for a name
// that it does not have: below the root cobra prints its help then, with
// status 0.
func refuseUnknown(group *cobra.Command) {
	if group.HasSubCommands() && !group.Runnable() {
		group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		group.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var known []string
			for _, c := range cmd.Commands() {
				if c.IsAvailableCommand() && c.Name() != "completion" {
					known = append(known, c.Name())
				}
			}
			return fmt.Errorf("unknown command %q for %q: want one of %s", args[0], cmd.CommandPath(), strings.Join(known, ", "))
		}
	}
	for _, c := range group.Commands() {
		refuseUnknown(c)
	}
}

// NewLogger writes lines for journald to w: time is left to journald where
// stderr is its stream. level is one of debug, info, warn, error.
func NewLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	if os.Getenv("JOURNAL_STREAM") != "" {
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}
