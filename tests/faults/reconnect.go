package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// reconnects are many connections: of one gateway, and of many at once.
var reconnects = []scenario{
	{
		name:     "reconnects",
		protects: "a backlog that needs a thousand connections arrives once and in order",
		run:      manyReconnects,
	},
	{
		name:     "fleet",
		protects: "a thousand gateways whose cloud restarts are all back, and none lost a reading",
		run:      wholeFleet,
	},
}

// manyReconnects lets gateways drain over a narrow link, and ends each of their
// connections before or after all is drained; what they sample meanwhile is the
// next backlog.
func manyReconnects(ctx context.Context, t *rig) error {
	var gateways []line.Gateway
	for i := range 4 {
		mode := "spill"
		if i%2 == 1 {
			mode = "always"
		}
		gateways = append(gateways, line.Gateway{Site: "s" + strconv.Itoa(i+1), Mode: mode})
	}
	wanted := float64(t.Rounds(1000, 20)) / float64(len(gateways))
	if err := t.raise(ctx, gateways...); err != nil {
		return err
	}
	for _, s := range t.line.Sites {
		if err := backlog(ctx, s, 400); err != nil {
			return err
		}
		if err := s.Set("/rate?kbps=512"); err != nil { // a handshake takes a quarter of a second
			return err
		}
	}
	err := t.each(func(s *line.Site, rng *rand.Rand) error {
		for {
			n, err := metric(ctx, s.Gateway, "atrium_uplink_connects_total")
			if err != nil || n > wanted {
				return err
			}
			if err := t.disconnect(ctx, s, rng); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	for _, s := range t.line.Sites {
		if err := s.Set("/rate?kbps=0"); err != nil {
			return err
		}
	}
	if err := t.connects(ctx); err != nil {
		return err
	}
	return t.finish(ctx)
}

// disconnect cuts a link until the gateway has given its connection up, heals
// it, and lets the next one work for a moment.
func (t *rig) disconnect(ctx context.Context, s *line.Site, rng *rand.Rand) error {
	if err := s.Cut(); err != nil {
		return err
	}
	if err := s.Linked(ctx, false); err != nil {
		return err
	}
	if err := s.Heal(); err != nil {
		return err
	}
	if err := s.Linked(ctx, true); err != nil {
		return err
	}
	return line.Pause(ctx, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
}

// wholeFleet has no truth files, as its boards are in the fleet's process: the
// counters' own numbers show what is missing.
func wholeFleet(ctx context.Context, t *rig) error {
	n := t.Rounds(1000, 50)
	t.guessed = true // the first hellos of so many take seconds
	if err := t.raise(ctx); err != nil {
		return err
	}
	ids := filepath.Join(t.Dir, "identities")
	args := []string{"issue", "gateway", "--data", t.line.Data(), "--out", ids}
	for i := range n {
		args = append(args, fmt.Sprintf("site-%d/gw-%d", i%10, i))
	}
	if err := t.line.Run(ctx, "atrium-cloud", args...); err != nil {
		return err
	}
	all := process.New(process.Config{
		Name: "fleet", Log: filepath.Join(t.Dir, "fleet.log"),
		Args: []string{
			filepath.Join(t.Bin, "atrium-sim"), "fleet", "--cloud", t.line.Gate, "--identities", ids, "--state", filepath.Join(t.Dir, "fleet"),
			"--devices", "1", "--rate", "1", "--report", "1s", "--log-level", "error",
		},
	})
	if err := all.Start(ctx); err != nil {
		return err
	}
	t.AtEnd(all.Kill)
	if err := t.connected(ctx, n); err != nil {
		return err
	}
	begin := time.Now()
	if err := t.crashCloud(ctx); err != nil {
		return err
	}
	if err := t.connected(ctx, n); err != nil {
		return err
	}
	refused, err := metric(ctx, t.line.Cloud, "atrium_gate_handshakes_turned_away_total")
	if err != nil {
		return err
	}
	t.Note("%d gateways were back %.1f s after the kill; %.0f handshakes refused", n, time.Since(begin).Seconds(), refused)
	if err := drained(ctx, all, n); err != nil {
		return err
	}
	if err := all.Stop(); err != nil {
		return err
	}
	if err := t.judge(ctx); err != nil {
		return err
	}
	return t.fleetArrived(ctx, all.Tail())
}

// startEach is what a gateway of a fleet takes to open its store and to connect,
// on a busy machine.
const startEach = 200 * time.Millisecond

// connected waits until the cloud serves so many gateways.
func (t *rig) connected(ctx context.Context, n int) error {
	c, err := client.New(t.line.Cloud.URL())
	if err != nil {
		return err
	}
	return line.Within(ctx, line.Patience+time.Duration(n)*startEach, fmt.Sprintf("%d gateways", n), func() (bool, error) {
		st, err := c.Status(ctx)
		if err == nil && st.Gateways < n {
			err = fmt.Errorf("%d are connected", st.Gateways)
		}
		return err == nil, err
	})
}

// drained waits until a fleet says that all are connected and that nothing
// waits but what was just sampled: readings that wait at its end stay on disk.
func drained(ctx context.Context, all *process.Process, n int) error {
	return line.Until(ctx, "the fleet's backlogs", func() (bool, error) {
		said := fleetSays.FindAllStringSubmatch(all.Tail(), -1)
		if len(said) == 0 {
			return false, nil
		}
		last := said[len(said)-1]
		connected, err := strconv.Atoi(last[1])
		if err != nil {
			return false, err
		}
		waiting, err := strconv.Atoi(last[2])
		if connected < n || waiting > n {
			err = errors.Join(err, fmt.Errorf("%d are connected, %d readings wait", connected, waiting))
		}
		return err == nil, err
	})
}

// What a fleet says every second, and at its end, before the last samples.
var (
	fleetSays = regexp.MustCompile(`(\d+) connected, .* (\d+) waiting`)
	sampledBy = regexp.MustCompile(`(\d+) readings sampled`)
)

// fleetArrived compares what a fleet sampled with what the cloud applied: a
// counter without truth does not show that its last readings are missing.
func (t *rig) fleetArrived(ctx context.Context, said string) error {
	all := sampledBy.FindAllStringSubmatch(said, -1)
	if len(all) == 0 {
		return fmt.Errorf("the fleet does not say what it sampled: %s", said)
	}
	sampled, err := strconv.ParseUint(all[len(all)-1][1], 10, 64)
	if err != nil {
		return err
	}
	c, err := client.New(t.line.Cloud.URL())
	if err != nil {
		return err
	}
	return line.Until(ctx, fmt.Sprintf("all of %d readings", sampled), func() (bool, error) {
		sites, err := c.Sites(ctx)
		if err != nil {
			return false, err
		}
		var applied uint64
		for _, s := range sites {
			gateways, err := c.Gateways(ctx, id.Site(s.Site))
			if err != nil {
				return false, err
			}
			for _, g := range gateways {
				applied += g.Count.Readings
			}
		}
		if applied < sampled {
			return false, fmt.Errorf("the cloud has %d", applied)
		}
		return true, nil
	})
}
