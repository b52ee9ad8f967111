package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/shared/ops"
)

const (
	// settleEvery is how often verify looks whether everything has arrived.
	settleEvery = 100 * time.Millisecond
	// shownFindings is what fits on a screen; --json has them all.
	shownFindings = 20
)

func newVerify(api *string) *cobra.Command {
	var truth []string
	var wait time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Count what was lost, duplicated or reordered",
		Long: `verify compares what counter devices delivered with what history and twins
hold. With --truth, the files that atrium-sim board --truth wrote are what the
devices delivered; run it after a clean stop of the gateways. Without, the
numbers of the devices themselves show what is missing between the first and
the last. The exit status is 0 if nothing is wrong.`,
		Example: "  atrium verify\n  atrium verify --truth hq.jsonl --truth lab.jsonl --wait 30s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			samples, err := readTruth(truth)
			if err != nil {
				return err
			}
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			report, err := settled(cmd.Context(), c, samples, wait)
			if err != nil {
				return err
			}
			if err := printReport(cmd, report, asJSON); err != nil {
				return err
			}
			if !report.OK() {
				return ops.ErrReported
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&truth, "truth", nil, "a board's truth file, may be given again")
	f.DurationVar(&wait, "wait", 0, "how long to wait until everything has been applied and nothing is wrong")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func readTruth(files []string) ([]verify.Sample, error) {
	var samples []verify.Sample
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("truth: %w", err)
		}
		samples, err = verify.ParseTruth(samples, name, f)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// settled compares until nothing is wrong or wait is over: what the cloud took
// a moment ago may not be applied yet.
func settled(ctx context.Context, c *client.Client, truth []verify.Sample, wait time.Duration) (verify.Report, error) {
	deadline := time.Now().Add(wait)
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		in, err := c.Verification(ctx, truth)
		if err != nil {
			return verify.Report{}, err
		}
		report := verify.Compare(in)
		if report.OK() || time.Now().After(deadline) {
			return report, nil
		}
		select {
		case <-ctx.Done():
			return verify.Report{}, ctx.Err()
		case <-tick.C:
		}
	}
}

func printReport(cmd *cobra.Command, r verify.Report, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	for i, f := range r.Findings {
		if i == shownFindings {
			fmt.Fprintf(out, "and %d more findings\n", len(r.Findings)+r.Omitted-shownFindings)
			break
		}
		fmt.Fprintln(out, f)
	}
	_, err := fmt.Fprintln(out, r)
	return err
}
