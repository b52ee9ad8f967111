package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

func restoredCloud(ctx context.Context, t *rig) error {
	if err := t.raise(ctx, both()...); err != nil {
		return err
	}
	for round := range t.Rounds(10, 1) {
		if err := errors.Join(t.ackedAll(ctx), t.backUp(ctx)); err != nil {
			return err
		}
		for _, s := range t.line.Sites { // runs that the backup knows, and new ones
			if err := s.Delivered(ctx, 150+t.Rand.IntN(150)); err != nil {
				return err
			}
		}
		if err := t.ackedAll(ctx); err != nil {
			return err
		}
		var gone []client.Run
		if round == 0 {
			var err error
			if gone, err = t.comeAndGo(ctx); err != nil {
				return err
			}
		}
		if err := errors.Join(t.restore(ctx), t.ackedAll(ctx), t.remembered(ctx, gone)); err != nil {
			return err
		}
	}
	return t.finishWithRemainder(ctx)
}

// backup is the folder of the cloud's backup.
func (t *rig) backup() string { return filepath.Join(t.Dir, "backup") }

// backUp copies the cloud's data while it is down.
func (t *rig) backUp(ctx context.Context) error {
	if err := t.line.Cloud.Stop(); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(t.backup()), disk.CopyFolder(t.line.Data(), t.backup())); err != nil {
		return err
	}
	return t.line.Cloud.Start(ctx)
}

// restore kills the cloud and puts it back to its backup.
func (t *rig) restore(ctx context.Context) error {
	if err := t.line.Cloud.Kill(); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(t.line.Data()), disk.CopyFolder(t.backup(), t.line.Data())); err != nil {
		return err
	}
	return t.line.Cloud.Start(ctx)
}

// comeAndGo has gateways begin runs, end them and let them go, and start again:
// what was acked of such a run nobody holds any more. It returns the runs of
// telemetry that went, as the cloud knows them.
func (t *rig) comeAndGo(ctx context.Context) (gone []client.Run, err error) {
	restart := func(s *line.Site) error {
		return errors.Join(s.Gateway.Stop(), s.Gateway.Start(ctx), s.Linked(ctx, true))
	}
	for _, s := range t.line.Sites {
		if err := errors.Join(restart(s), s.Delivered(ctx, 50), s.Acked(ctx)); err != nil {
			return nil, err
		}
		runs, err := t.runs(ctx, id.Site(s.Name))
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			if r.State == "open" && r.Class == "telemetry" {
				gone = append(gone, r)
			}
		}
		if err := restart(s); err != nil {
			return nil, err
		}
	}
	for _, s := range t.line.Sites {
		err := line.Until(ctx, "only the open runs are held", func() (bool, error) {
			runs, err := metric(ctx, s.Gateway, "atrium_buffer_runs")
			return runs == 2, err
		})
		if err := errors.Join(err, restart(s)); err != nil {
			return nil, err
		}
	}
	return gone, t.ackedAll(ctx)
}

// runs are those of a site's gateway.
func (t *rig) runs(ctx context.Context, site id.Site) ([]client.Run, error) {
	c, err := client.New(t.line.Cloud.URL())
	if err != nil {
		return nil, err
	}
	gateways, err := c.Gateways(ctx, site)
	if err != nil || len(gateways) != 1 {
		return nil, errors.Join(fmt.Errorf("%d gateways of %s", len(gateways), site), err)
	}
	return gateways[0].Runs, nil
}

// remembered waits until the ledger has at least what the cloud once had of the
// runs that are gone.
func (t *rig) remembered(ctx context.Context, gone []client.Run) error {
	if len(gone) == 0 {
		return nil
	}
	c, err := client.New(t.line.Cloud.URL())
	if err != nil {
		return err
	}
	return line.Until(ctx, "runs that are gone are in the ledger", func() (bool, error) {
		var all []client.LedgerEntry
		for _, s := range t.line.Sites {
			ledger, err := c.Ledger(ctx, id.Site(s.Name))
			if err != nil {
				return false, err
			}
			all = append(all, ledger...)
		}
		return !slices.ContainsFunc(gone, func(r client.Run) bool {
			return !slices.ContainsFunc(all, func(l client.LedgerEntry) bool {
				return l.Run == r.Run && l.Reason == "unknown-remainder" && l.A == 1 && l.B >= r.Next-1
			})
		}), nil
	})
}
