package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

// reclaimIn is how soon after a drain the disk must be free again.
const reclaimIn = 5 * time.Second

// measureDrain drains a backlog over loopback to a cloud node of its own
// process: to durable, which is acked, and to applied, which is in the twins
// and fsynced in history.
func measureDrain(ctx context.Context, o options) (_ []figure, err error) {
	size := int64(200e6)
	if o.short {
		size = 10e6
	}
	bin, err := o.programs(ctx)
	if err != nil {
		return nil, err
	}
	l, err := line.Start(ctx, line.Config{Bin: bin, Dir: filepath.Join(o.dir, "line")})
	if l != nil {
		defer func() { err = errors.Join(err, l.Stop()) }()
	}
	if err != nil {
		return nil, err
	}
	certs := filepath.Join(o.dir, "drain", "certs")
	if err := l.Issue(ctx, name.String(), certs); err != nil {
		return nil, err
	}
	creds, err := identity.Load(certs)
	if err != nil {
		return nil, err
	}
	g, err := openGateway(ctx, filepath.Join(o.dir, "drain"), buffer.DefaultLinger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close(context.WithoutCancel(ctx))) }()
	if err := g.fill(ctx, size); err != nil {
		return nil, err
	}
	held := g.buf.Stats()

	u := g.connect(l.Gate, creds.ClientTLS(nil), nil)
	if err := await(ctx, "the connection", func() (bool, error) { return u.Stats().Gate != "", nil }); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := await(ctx, "the drain", func() (bool, error) { return g.buf.Stats().Frames == 0, nil }); err != nil {
		return nil, err
	}
	durable := time.Since(begin)
	drained := g.buf.Stats().DiskBytes
	sent := u.Stats().Sent
	var applied time.Duration
	if err := await(ctx, "history", func() (bool, error) {
		n, err := proc.Scrape(ctx, l.Cloud.URL())
		applied = time.Since(begin)
		return n["atrium_site_readings_total"] >= float64(held.Readings), err
	}); err != nil {
		return nil, err
	}
	if err := sleep(ctx, durable+reclaimIn-time.Since(begin)); err != nil {
		return nil, err
	}
	left := g.buf.Stats().DiskBytes
	const mb = 1e6
	return []figure{
		{Name: "backlog", Value: float64(sent) / mb, Unit: "MB"},
		{Name: "backlog", Value: float64(held.Readings) / mb, Unit: "M readings"},
		{Name: "to durable", Value: float64(sent) / mb / durable.Seconds(), Unit: "MB/s", Aim: ">= 40"},
		{Name: "to durable", Value: float64(held.Readings) / mb / durable.Seconds(), Unit: "M readings/s"},
		{Name: "to applied", Value: float64(held.Readings) / mb / applied.Seconds(), Unit: "M readings/s", Aim: ">= 2"},
		{Name: "disk before", Value: float64(held.DiskBytes) / mb, Unit: "MB"},
		{Name: "disk after the drain", Value: float64(drained) / mb, Unit: "MB"},
		{Name: "disk 5 s later", Value: float64(left) / mb, Unit: "MB", Aim: "<= 10"},
	}, nil
}
