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

// Run executes root with a context that SIGINT and SIGTERM cancel and returns
// the exit status: 0, or 1 after one line on stderr that names the program and
// the error. An unknown subcommand is an error at every level of the tree.
func Run(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = Version()
	refuseUnknown(root)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !errors.Is(err, ErrReported):
		// errors.Join puts each error on a line of its own.
		fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return 1
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
