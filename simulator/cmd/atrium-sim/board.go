package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/simulator/board"
	"github.com/atrium-iot/atrium/simulator/fault"
)

// boardFlags are what the command line says of a board.
type boardFlags struct {
	board.Options
	config  string
	faults  string // scenario file
	control string
	seed    uint64
}

func newBoard(out *output) *cobra.Command {
	var flags boardFlags
	cmd := &cobra.Command{
		Use:   "board --socket PATH --config FILE",
		Short: "Serve the simulated chips of a board on a unix socket",
		Long: `Serve the simulated chips of a board on a unix socket, for the drivers of
atrium-edge: I2C buses, and GPIO chips with relays and motion detectors. The
board lives until it is stopped, whatever its gateway does.

With --truth the numbers of counter chips that were delivered in full are
appended to a file, one JSON object a line; counters continue above the numbers
that the file already holds.

With --faults chips fail as a scenario file plans it. With --control they fail
when an HTTP client says so:

  GET    /faults               what is planned and in force, as JSON
  POST   /faults               a fault: {"bus":"sim-i2c-1","address":"0x48","kind":"nack","for":"10s"}
  DELETE /faults /faults/{id}  end all, or one
  GET    /metrics              how many transactions they hit, for Prometheus

The kinds are unplugged, nack, stuck and crc; at a line of a GPIO chip ("line":27
in place of the address) unplugged and stuck. The control has no passwords and so
listens on loopback alone.`,
		Example: `  atrium-sim board --socket /tmp/board.sock --config board.yaml
  atrium-sim board --socket /tmp/board.sock --config board.yaml --truth truth.jsonl --seed 7
  atrium-sim board --socket /tmp/board.sock --config board.yaml --faults faults.yaml --control 127.0.0.1:7003
  curl -X POST -d '{"bus":"sim-i2c-1","address":"0x48","kind":"unplugged","for":"10s"}' http://127.0.0.1:7003/faults
  curl -X POST -d '{"bus":"sim-gpio-0","line":27,"kind":"stuck"}' http://127.0.0.1:7003/faults`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBoard(cmd, out, flags) },
	}
	cmd.Flags().StringVar(&flags.Socket, "socket", "", "path of the unix socket to serve (required)")
	cmd.Flags().StringVar(&flags.config, "config", "", "the board's YAML file (required)")
	cmd.Flags().StringVar(&flags.Truth, "truth", "", "file to append the delivered numbers of counters to")
	cmd.Flags().StringVar(&flags.faults, "faults", "", "YAML file of the faults to come")
	cmd.Flags().StringVar(&flags.control, "control", "", "loopback address of the HTTP control of faults")
	cmd.Flags().Uint64Var(&flags.seed, "seed", 0, "seed of the world, the parts and the faults, in place of the file's")
	require(cmd, "socket", "config")
	return cmd
}

// runBoard runs the board and, if there is one, its control; either's end is
// the other's.
func runBoard(cmd *cobra.Command, out *output, flags boardFlags) error {
	log, err := ops.NewLogger(cmd.ErrOrStderr(), out.level)
	if err != nil {
		return err
	}
	c, err := readConfig(flags.config)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("seed") {
		c.Seed = flags.seed
	}
	reg := ops.NewRegistry()
	if flags.Faults, err = readFaults(c, flags, reg); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(cmd.Context())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fields := []field{{"socket", flags.Socket}}
	fields = append(fields, named(c)...)
	if flags.control != "" {
		at, err := serveControl(ctx, group, flags, reg)
		if err != nil {
			return err
		}
		fields = append(fields, field{"control", at})
	}
	var printed error
	ready := func() {
		if printed = out.ready(cmd.OutOrStdout(), fields...); printed != nil {
			cancel(printed) // nobody would learn that it serves
		}
	}
	group.Go(func() error {
		defer cancel(nil) // the control ends with its board
		return board.Run(ctx, c, flags.Options, ready, log)
	})
	return errors.Join(group.Wait(), printed)
}

// readFaults returns the faults of a board that may have some, or nil.
func readFaults(c *board.Config, flags boardFlags, reg prometheus.Registerer) (*fault.Set, error) {
	if flags.faults == "" && flags.control == "" {
		return nil, nil
	}
	set := fault.New(c.Targets(), c.Seed, reg)
	if flags.faults == "" {
		return set, nil
	}
	data, err := readFile(flags.faults)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	return set, set.Plan(flags.faults, data)
}

// serveControl serves the control in the group and returns its address.
func serveControl(ctx context.Context, group *errgroup.Group, flags boardFlags, reg *prometheus.Registry) (string, error) {
	if err := loopback(flags.control); err != nil {
		return "", err
	}
	l, err := ops.Listen(ctx, flags.control)
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle("/", flags.Faults.Handler())
	ops.Handle(mux, reg, ops.Checks{})
	group.Go(func() error { return ops.ServeOn(ctx, l, mux) })
	return l.Addr().String(), nil
}

// readConfig reads a board's file.
func readConfig(path string) (*board.Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return board.ParseConfig(path, data)
}

// readFile reads no more than a configuration may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, config.MaxSize+1))
}

// named are the names by which a gateway reaches what the board has.
func named(c *board.Config) []field {
	var fields []field
	add := func(key string, names []string) {
		if len(names) > 0 {
			fields = append(fields, field{key, strings.Join(names, ",")})
		}
	}
	var buses, gpio []string
	for _, b := range c.Buses {
		buses = append(buses, b.Name)
	}
	for _, g := range c.GPIO {
		gpio = append(gpio, g.Name)
	}
	add("buses", buses)
	add("gpio", gpio)
	return fields
}

// require marks flags; the error would be of a flag that does not exist.
func require(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := cmd.MarkFlagRequired(f); err != nil {
			panic("BUG: " + err.Error())
		}
	}
}
