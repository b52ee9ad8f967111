package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/simulator/board"
)

func newBoard(out *output) *cobra.Command {
	var opts board.Options
	var file string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "board --socket PATH --config FILE",
		Short: "Serve the simulated chips of a board on a unix socket",
		Long: `Serve the simulated chips of a board on a unix socket, for the bus drivers of
atrium-edge. The board lives until it is stopped, whatever its gateway does.

With --truth the numbers of counter chips that were delivered in full are
appended to a file, one JSON object a line; counters continue above the numbers
that the file already holds.`,
		Example: `  atrium-sim board --socket /tmp/board.sock --config board.yaml
  atrium-sim board --socket /tmp/board.sock --config board.yaml --truth truth.jsonl --seed 7`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := ops.NewLogger(cmd.ErrOrStderr(), out.level)
			if err != nil {
				return err
			}
			c, err := readConfig(file)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("seed") {
				c.Seed = seed
			}
			ctx, cancel := context.WithCancelCause(cmd.Context())
			defer cancel(nil)
			var printed error
			ready := func() {
				if printed = out.ready(cmd.OutOrStdout(), field{"socket", opts.Socket}, field{"buses", busNames(c)}); printed != nil {
					cancel(printed) // nobody would learn that it serves
				}
			}
			if err := board.Run(ctx, c, opts, ready, log); err != nil {
				return err
			}
			return printed
		},
	}
	cmd.Flags().StringVar(&opts.Socket, "socket", "", "path of the unix socket to serve (required)")
	cmd.Flags().StringVar(&file, "config", "", "the board's YAML file (required)")
	cmd.Flags().StringVar(&opts.Truth, "truth", "", "file to append the delivered numbers of counters to")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "seed of the world and the parts, in place of the file's")
	require(cmd, "socket", "config")
	return cmd
}

// readConfig reads no more than a configuration may have.
func readConfig(path string) (*board.Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, config.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return board.ParseConfig(path, data)
}

func busNames(c *board.Config) string {
	var names []string
	for _, b := range c.Buses {
		names = append(names, b.Name)
	}
	return strings.Join(names, ",")
}

// require marks flags; the error would be of a flag that does not exist.
func require(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := cmd.MarkFlagRequired(f); err != nil {
			panic("BUG: " + err.Error())
		}
	}
}
