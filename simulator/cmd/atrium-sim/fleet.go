package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/simulator/fleet"
)

// fleetFlags are what the command line says of a fleet.
type fleetFlags struct {
	fleet.Config
	rate   float64
	length time.Duration
	report time.Duration
}

// maxRate is device.MinEvery the other way round.
const maxRate = 100

func newFleet(out *output) *cobra.Command {
	var flags fleetFlags
	cmd := &cobra.Command{
		Use:   "fleet --cloud HOST:PORT --identities DIR --state DIR",
		Short: "Run many gateways with simulated boards in one process",
		Long: `Run many gateways in one process: real agents, each with its own identity,
state folder, buffer and UDP socket, on boards of counters, TMP102, BME280, SHT31
and ADS1115 chips. Identities are made beforehand, in one call:

  atrium-cloud issue gateway fleet/gw-{1..100} --out ./identities

What the gateways say of themselves is summed up and printed every --report, one
line each time (an object with --json), and once more at the end. Readings that
are waiting when it stops are on disk, in the state folder, and are sent by the
next fleet there.`,
		Example: `  atrium-sim fleet --cloud 127.0.0.1:7443 --identities ./identities --state ./fleet
  atrium-sim fleet --cloud 127.0.0.1:7443 --identities ./identities --state ./fleet --gateways 10 --devices 20 --rate 1 --for 1m --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFleet(cmd, out, flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.Cloud, "cloud", "", "HOST:PORT of the cloud's gate (required)")
	f.StringVar(&flags.Identities, "identities", "", "folder of SITE/GATEWAY folders with identities (required)")
	f.StringVar(&flags.State, "state", "", "folder for the gateways' state (required)")
	f.IntVar(&flags.Gateways, "gateways", 0, "how many of the identities to run; 0 runs all")
	f.IntVar(&flags.Devices, "devices", 20, "devices of each gateway")
	f.Float64Var(&flags.rate, "rate", 1, "samples a second of each device")
	f.DurationVar(&flags.length, "for", 0, "stop after this time; 0 runs until SIGINT or SIGTERM")
	f.DurationVar(&flags.report, "report", 10*time.Second, "how often to print how the fleet is; 0 prints the end only")
	f.Uint64Var(&flags.Seed, "seed", 0, "seed of the boards' worlds")
	require(cmd, "cloud", "identities", "state")
	return cmd
}

func runFleet(cmd *cobra.Command, out *output, flags fleetFlags) error {
	if !(flags.rate > 0 && flags.rate <= maxRate) { // NaN is not
		return fmt.Errorf("--rate %v: want more than 0 and at most %d a second", flags.rate, maxRate)
	}
	if flags.length < 0 || flags.report < 0 {
		return errors.New("--for and --report: want no negative time")
	}
	flags.Every = time.Duration(math.Round(float64(time.Second) / flags.rate)).Round(time.Millisecond)
	log, err := ops.NewLogger(cmd.ErrOrStderr(), out.level)
	if err != nil {
		return err
	}
	f, err := fleet.New(flags.Config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if flags.length > 0 {
		ctx, cancel = context.WithTimeout(ctx, flags.length)
		defer cancel()
	}
	stdout := cmd.OutOrStdout()
	err = out.ready(stdout, field{"gateways", strconv.Itoa(f.Gateways())}, field{"devices", strconv.Itoa(flags.Devices)},
		field{"readings_per_second", strconv.FormatFloat(f.Rate(), 'f', -1, 64)})
	if err != nil {
		return err
	}
	begin := time.Now()
	var last fleet.Stats // a gateway that has stopped says nothing any more
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.Run(ctx, log) })
	g.Go(func() error {
		defer func() { last = f.Stats() }()
		return reportFleet(ctx, stdout, out.json, f, begin, flags.report)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return printFleet(stdout, out.json, last, time.Since(begin))
}

// reportFleet prints how the fleet is until ctx ends.
func reportFleet(ctx context.Context, w io.Writer, asJSON bool, f *fleet.Fleet, begin time.Time, every time.Duration) error {
	var due <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			if err := printFleet(w, asJSON, f.Stats(), time.Since(begin)); err != nil {
				return err
			}
		}
	}
}

func printFleet(w io.Writer, asJSON bool, s fleet.Stats, after time.Duration) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			After float64 `json:"seconds"`
			fleet.Stats
		}{after.Seconds(), s})
	}
	_, err := fmt.Fprintf(w, "%s: %d running, %d connected, %d readings sampled, %d acked, %d dropped, %d waiting\n",
		after.Round(time.Second), s.Running, s.Connected, s.Sampled, s.Acked, s.Dropped, s.Waiting)
	return err
}
