package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/boards/stand"
)

const (
	// slack is how far off a reading's time may be: far more than an emulated
	// machine is ever late, far less than its clock was ever wrong.
	slack = 10 * time.Minute
	// settle is how long what was acked may take into the history.
	settle = "30s"
)

// judge asks atrium verify, which compares the boards' own records with the
// history, and looks at the ledger and at the time of each reading.
func judge(ctx context.Context, s *stand.Stand, begin time.Time) error {
	report, findings, err := s.Line.Report(ctx, settle)
	if err != nil {
		return err
	}
	if report.Sampled == 0 {
		findings = append(findings, "nothing was sampled")
	}
	if len(findings) == 0 && report.Lost+report.Duplicated+report.Reordered > 0 {
		findings = append(findings, report.String())
	}
	c, err := client.New(s.Line.Cloud.URL())
	if err != nil {
		return err
	}
	timed := &times{from: begin.Add(-slack), to: time.Now().Add(slack)}
	for _, g := range gateways() {
		ledger, err := c.Ledger(ctx, id.Site(g.site))
		if err != nil {
			return err
		}
		for _, l := range ledger {
			if l.Reason != "crash" {
				findings = append(findings, fmt.Sprintf("ledger: %s of run %s %d..%d: a power cut has no such cost", l.Reason, l.Run, l.A, l.B))
			}
		}
		if err := timed.addSite(ctx, c, id.Site(g.site)); err != nil {
			return err
		}
	}
	findings = append(findings, timed.wrong...)
	if len(findings) > 0 {
		return errors.New(strings.Join(findings, "\n  "))
	}
	s.Say("%s", report.String())
	s.Say("%d readings are at the right time, %d are marked as of no known time", timed.right, timed.marked)
	return nil
}

// times sorts readings by what is known of their time.
type times struct {
	from, to      time.Time // of the test
	right, marked int
	wrong         []string
}

func (t *times) addSite(ctx context.Context, c *client.Client, site id.Site) error {
	devices, err := c.Devices(ctx, site)
	if err != nil {
		return err
	}
	for _, d := range devices {
		dev, err := id.ParseDevice(d.Device)
		if err != nil {
			return err
		}
		for _, p := range d.Points {
			for r, err := range c.History(ctx, dev, id.Point(p.Point), time.Time{}, time.Time{}, false) {
				if err != nil {
					return err
				}
				t.add(d.Device, r)
			}
		}
	}
	return nil
}

func (t *times) add(device string, r client.Reading) {
	switch {
	case r.Clock == "estimated":
		t.marked++
	case r.Time.Before(t.from) || r.Time.After(t.to):
		t.wrong = append(t.wrong, fmt.Sprintf("%s has a reading of %s by %q", device, r.Time, r.Clock))
	default:
		t.right++
	}
}
