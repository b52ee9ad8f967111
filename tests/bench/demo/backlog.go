package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

const (
	// counters at 20 Hz make 100 readings a second.
	counters = 5
	// warmUp is how long the line runs before the cut.
	warmUp = 5 * time.Second
	// ageEvery is how often the newest value is looked at.
	ageEvery = 50 * time.Millisecond
)

// backlog is how a cut link's backlog drained.
type backlog struct {
	Cut       time.Duration `json:"cut_ns"`
	Rate      float64       `json:"readings_per_second"`
	Readings  uint64        `json:"readings"`
	Reconnect time.Duration `json:"reconnect_ns"`
	Drain     time.Duration `json:"drain_ns"`
	Age       time.Duration `json:"age_ns"` // the greatest of the newest value's, from the first fresh one to the end
}

// measureBacklog cuts the link of a gateway, heals it, and looks on.
func measureBacklog(ctx context.Context, o options) (_ *backlog, err error) {
	l, err := line.Start(ctx, line.Config{
		Bin: o.bin, Dir: filepath.Join(o.dir, "line"),
		Gateways: []line.Gateway{{Site: "hq", Mode: "spill", Counters: counters}},
	})
	if l != nil {
		defer func() { err = errors.Join(err, l.Stop()) }()
	}
	if err != nil {
		return nil, err
	}
	hq := l.Sites[0]
	c, err := client.New(l.Cloud.URL())
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, warmUp); err != nil {
		return nil, err
	}
	if err := hq.Cut(); err != nil {
		return nil, err
	}
	before, err := edgeStatus(ctx, hq.Gateway.URL())
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := rest(ctx, o.cut); err != nil {
		return nil, err
	}
	after, err := edgeStatus(ctx, hq.Gateway.URL())
	if err != nil {
		return nil, err
	}
	b := &backlog{
		Cut: o.cut, Readings: after.Buffer.Readings,
		Rate: float64(after.Sampled-before.Sampled) / time.Since(begin).Seconds(),
	}
	if err := hq.Heal(); err != nil {
		return nil, err
	}
	return b, b.watch(ctx, c, hq.Gateway.URL())
}

// watch follows the drain: until what was there when the link healed is acked.
func (b *backlog) watch(ctx context.Context, c *client.Client, edge string) error {
	healed := time.Now()
	if _, err := await(ctx, "a connection after the link healed", nil, func() (struct{}, bool) {
		s, err := edgeStatus(ctx, edge)
		return struct{}{}, err == nil && s.Connected
	}); err != nil {
		return err
	}
	connected := time.Now()
	b.Reconnect = connected.Sub(healed)
	first, err := edgeStatus(ctx, edge)
	if err != nil {
		return err
	}
	goal := first.Acked + first.Buffer.Readings
	fresh := false
	for {
		age, err := newestAge(ctx, c)
		if err != nil {
			return err
		}
		// From the first live value on; before it the newest is as old as the cut.
		if fresh = fresh || age < time.Since(connected)+time.Second; fresh {
			b.Age = max(b.Age, age)
		}
		s, err := edgeStatus(ctx, edge)
		if err != nil {
			return err
		}
		if s.Acked >= goal && s.Buffer.OldestAgeMS < uint64(2*time.Second/time.Millisecond) {
			b.Drain = time.Since(connected)
			return nil
		}
		if err := rest(ctx, ageEvery); err != nil {
			return err
		}
	}
}

// newestAge is the age of the newest value of the site.
func newestAge(ctx context.Context, c *client.Client) (time.Duration, error) {
	devices, err := c.Devices(ctx, id.Site("hq"))
	if err != nil {
		return 0, err
	}
	p := demo.SitePicture{Devices: devices}
	age, ok := p.Age(time.Now())
	if !ok {
		return 0, errors.New("no device of hq has a value")
	}
	return age, nil
}

func edgeStatus(ctx context.Context, base string) (demo.EdgeStatus, error) {
	var s demo.EdgeStatus
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/status", nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s/status: %s", base, resp.Status)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
