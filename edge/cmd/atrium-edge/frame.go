package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/wire/senml"
)

func newFrame() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "frame",
		Short:   "Look at frames as they are stored and sent",
		Example: "  atrium-edge frame export --state /var/lib/atrium lane.cbor\n  atrium-edge frame dump lane.cbor",
	}
	cmd.AddCommand(newFrameDump(), newFrameExport())
	return cmd
}

func newFrameDump() *cobra.Command {
	return &cobra.Command{
		Use:   "dump FILE",
		Short: "Print the readings of a file of messages as SenML JSON",
		Long: `dump reads a file of messages as they go onto a lane (schemas, clocks, frames
and gaps, a CBOR sequence of byte strings; - is the standard input) and prints
each reading as a SenML record (RFC 8428), with its time in UTC. Readings that
failed have no value and are left out; how many, standard error says.`,
		Example: "  atrium-edge frame dump lane.cbor\n  atrium-edge frame dump lane.cbor | jq '.[] | select(.n == \"hq/t1/temperature\") | .v'\n  atrium-edge frame export --state /var/lib/atrium - | atrium-edge frame dump -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := io.NopCloser(cmd.InOrStdin())
			if args[0] != stdio {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("frame dump: %w", err)
				}
				in = f
			}
			counts, err := senml.Dump(cmd.OutOrStdout(), in)
			err = errors.Join(err, in.Close())
			report(cmd.ErrOrStderr(), counts)
			if err != nil {
				return fmt.Errorf("frame dump: %s: %w", args[0], err)
			}
			return nil
		},
	}
}

// stdio as a file's name is standard input or output.
const stdio = "-"

// report says what the records do not.
func report(out io.Writer, c senml.Counts) {
	fmt.Fprintf(out, "%d frames, %d readings\n", c.Frames, c.Readings)
	for _, line := range []struct {
		n    uint64
		what string
	}{
		{uint64(c.Bad), "readings failed and have no value"},
		{uint64(c.Estimated), `readings are of a clock that was never synchronised ("clock": "estimated")`},
		{c.Lost, "readings will never come: gaps say so"},
		{uint64(c.Skipped), "messages of a later version were skipped"},
	} {
		if line.n > 0 {
			fmt.Fprintf(out, "%d %s\n", line.n, line.what)
		}
	}
}

func newFrameExport() *cobra.Command {
	var state string
	var quarantine bool
	cmd := &cobra.Command{
		Use:   "export --state DIR FILE",
		Short: "Write what a stopped gateway's buffer holds, for dump or another reader",
		Long: `export writes the frames and gaps that the cloud has not acked, with their
schemas and clocks, as a CBOR sequence of byte strings (- is the standard
output). The buffer stays as it is; the agent must not run meanwhile.`,
		Example: "  atrium-edge frame export --state /var/lib/atrium lane.cbor\n  atrium-edge frame export --state /var/lib/atrium --quarantine refused.cbor",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			take := buffer.Export
			if quarantine {
				take = buffer.ExportQuarantine
			}
			damaged, err := export(cmd.Context(), state, args[0], cmd.OutOrStdout(), take)
			if err != nil {
				return fmt.Errorf("frame export: %w", err)
			}
			if damaged > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d damaged entries of the buffer were left out\n", damaged)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", "/var/lib/atrium", "the gateway's state directory, as in its edge.yaml")
	cmd.Flags().BoolVar(&quarantine, "quarantine", false, "the frames that the cloud refused, in place of those that wait")
	return cmd
}

type exporter func(ctx context.Context, store buffer.Store, w io.Writer) (damaged int, err error)

// export writes what take finds in the buffer below state to a file, which is
// there whole or not at all, or to out.
func export(ctx context.Context, state, file string, out io.Writer, take exporter) (damaged int, err error) {
	dir := filepath.Join(state, "buffer")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s has no buffer: is it a gateway's state directory?", state)
	}
	store, err := buffer.OpenBadger(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if file == stdio {
		return take(ctx, store, out)
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return 0, err
	}
	damaged, err = take(ctx, store, f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return damaged, errors.Join(err, os.Remove(f.Name()))
	}
	return damaged, nil
}
