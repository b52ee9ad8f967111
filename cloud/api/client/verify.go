package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/shared/id"
)

// Verification fetches everything that verify.Compare needs: the counter
// points of all sites with their histories, the ledgers and the runs.
func (c *Client) Verification(ctx context.Context, truth []verify.Sample) (verify.Input, error) {
	in := verify.Input{Truth: truth}
	sites, err := c.Sites(ctx)
	if err != nil {
		return verify.Input{}, err
	}
	for _, s := range sites {
		if err := c.verifySite(ctx, id.Site(s.Site), &in); err != nil {
			return verify.Input{}, err
		}
	}
	return in, nil
}

// ErrIncomplete says that the node that owns a site is still filling in what
// other nodes stored of it.
var ErrIncomplete = errors.New("its history is still being filled in after a move, try again later")

// Complete returns ErrIncomplete while the history of a site lacks something.
func (c *Client) Complete(ctx context.Context, site id.Site) error {
	page, err := get[Page[LedgerEntry]](ctx, c, url.Values{"limit": {"1"}}, "v1", "sites", string(site), "ledger")
	if err == nil && page.Incomplete {
		err = fmt.Errorf("client: site %s: %w", site, ErrIncomplete)
	}
	return err
}

// verifySite asks before and after whether the history is whole: the site may
// move meanwhile.
func (c *Client) verifySite(ctx context.Context, site id.Site, in *verify.Input) error {
	if err := c.Complete(ctx, site); err != nil {
		return err
	}
	if err := c.fetchSite(ctx, site, in); err != nil {
		return err
	}
	return c.Complete(ctx, site)
}

func (c *Client) fetchSite(ctx context.Context, site id.Site, in *verify.Input) error {
	gateways, err := c.Gateways(ctx, site)
	if err != nil && !NotFound(err) { // a site may be assigned before its first record is applied
		return err
	}
	for _, g := range gateways {
		for _, r := range g.Runs {
			if err := addRun(g.Gateway, r, in); err != nil {
				return fmt.Errorf("client: gateway %s: %w", g.Gateway, err)
			}
		}
	}
	retired, err := c.RetiredRuns(ctx, site)
	if err != nil && !NotFound(err) { // as above, or the node is of a version that does not list them
		return err
	}
	for _, r := range retired {
		if err := addRun(r.Gateway, r.Run, in); err != nil {
			return fmt.Errorf("client: gateway %s: %w", r.Gateway, err)
		}
	}
	ledger, err := c.Ledger(ctx, site)
	if err != nil {
		return err
	}
	for _, e := range ledger {
		if e.Reason == "late" || e.Reason == "identity-twice" {
			continue // no range without readings: the numbers decide
		}
		entry, err := entryOf(e)
		if err != nil {
			return fmt.Errorf("client: ledger of %s: %w", site, err)
		}
		if e.Class == "events" && entry.Cause != verify.Missing {
			continue // no counter's readings: they would explain those of telemetry
		}
		in.Ledger = append(in.Ledger, entry)
	}
	devices, err := c.Devices(ctx, site)
	if err != nil && !NotFound(err) {
		return err
	}
	for _, d := range devices {
		if err := c.verifyDevice(ctx, d, in); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) verifyDevice(ctx context.Context, d Device, in *verify.Input) error {
	dev, err := id.ParseDevice(d.Device)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	for _, p := range d.Points {
		if p.Kind != "counter" {
			continue
		}
		twin := verify.Twin{Device: dev, Value: p.Raw, Seq: p.Seq}
		if p.Run != "" {
			if twin.Run, err = id.ParseRun(p.Run); err != nil {
				return fmt.Errorf("client: twin %s: %w", dev, err)
			}
		}
		in.Twins = append(in.Twins, twin)
		for r, err := range c.History(ctx, dev, id.Point(p.Point), time.Time{}, time.Time{}, true) {
			if err != nil {
				return err
			}
			run, err := id.ParseRun(r.Run)
			if err != nil {
				return fmt.Errorf("client: history of %s: %w", dev, err)
			}
			in.Readings = append(in.Readings, verify.Reading{
				Device: dev, Run: run, Seq: r.Seq, Tick: time.Duration(r.TickNS), Time: r.Time, Value: r.Raw, Bad: r.Value == nil,
			})
		}
	}
	return nil
}

func addRun(gateway string, r Run, in *verify.Input) error {
	gw, err := id.ParseGateway(gateway)
	if err != nil {
		return err
	}
	run := verify.Run{Gateway: gw, Retired: r.State == "retired"}
	if run.Run, err = id.ParseRun(r.Run); err != nil {
		return err
	}
	if r.Boot != "" {
		if run.Boot, err = id.ParseBoot(r.Boot); err != nil {
			return err
		}
	}
	in.Runs = append(in.Runs, run)
	return nil
}

// maxMillis is the most milliseconds that a time.Duration holds.
const maxMillis = uint64(math.MaxInt64 / time.Millisecond)

// entryOf reads a ledger entry. The open end of a crash is bounded by its
// interval; ranges that a gateway declared are gaps; a remainder is what nobody can
// count, as one side has lost it with its state or its index; everything else
// explains nothing.
func entryOf(e LedgerEntry) (verify.Entry, error) {
	out := verify.Entry{
		A: e.A, B: e.B, Readings: e.Readings, Cause: verify.Missing,
		From: time.Duration(e.FirstMS) * time.Millisecond, To: time.Duration(e.LastMS) * time.Millisecond,
		Interval: time.Duration(min(e.IntervalMS, maxMillis)) * time.Millisecond, Found: e.FoundAt,
	}
	switch {
	case e.Reason == "crash" && e.B == 0:
		out.Cause = verify.Crash
	case e.Reason == "corrupt" && e.Readings == 0: // the index is lost with the readings
		out.Cause = verify.Remainder
	case e.Reason == "quota" || e.Reason == "rejected" || e.Reason == "corrupt" || e.Reason == "crash":
		out.Cause = verify.Declared
	case e.Reason == "unknown-remainder":
		out.Cause = verify.Remainder
	}
	var err error
	if out.Gateway, err = id.ParseGateway(e.Gateway); err != nil {
		return out, err
	}
	if out.Run, err = id.ParseRun(e.Run); err != nil {
		return out, err
	}
	out.Boot, err = id.ParseBoot(e.Boot)
	return out, err
}
