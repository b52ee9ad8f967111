package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

// pollEvery is how often the twins are asked for. Faster would take a core
// from what is measured.
const pollEvery = 5 * time.Millisecond

// sighting is the moment at which a twin first showed a frame's value, by
// CLOCK_BOOTTIME: the clock that stamps samples, on the same machine. So no
// mapping to UTC and its uncertainty comes between.
type sighting struct {
	run string
	seq uint64
	at  time.Duration
}

// sightings are by device, with the intervals between polls.
type sightings struct {
	seen  map[string][]sighting
	since time.Time
	polls []time.Duration
}

// watchTwins asks for the site's twins again and again.
func watchTwins(ctx context.Context, api string, length time.Duration) (*sightings, error) {
	c, err := client.New(api)
	if err != nil {
		return nil, err
	}
	w := &sightings{seen: map[string][]sighting{}, since: time.Now()}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := time.Now()
	for end := last.Add(length); last.Before(end); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		twins, err := c.Devices(ctx, site)
		if err != nil {
			return nil, err
		}
		at, err := sinceBoot()
		if err != nil {
			return nil, err
		}
		for _, d := range twins {
			w.note(d, at)
		}
		now := time.Now()
		w.polls, last = append(w.polls, now.Sub(last)), now
	}
	return w, nil
}

func (w *sightings) note(d client.Device, at time.Duration) {
	if len(d.Points) == 0 {
		return
	}
	p, have := d.Points[0], w.seen[d.Device]
	if n := len(have); n > 0 && have[n-1].run == p.Run && have[n-1].seq == p.Seq {
		return
	}
	w.seen[d.Device] = append(have, sighting{p.Run, p.Seq, at})
}

// latencies looks up when the values were sampled: history keeps each row's
// tick. The first sighting of a device says nothing, as it was there before.
// A twin shows a frame's last row.
func (w *sightings) latencies(ctx context.Context, api string) (twin, poll spread, err error) {
	c, err := client.New(api)
	if err != nil {
		return twin, poll, err
	}
	var took []time.Duration
	for name, have := range w.seen {
		dev, err := id.ParseDevice(name)
		if err != nil {
			return twin, poll, err
		}
		sampled := map[sighting]time.Duration{} // by run and seq
		for r, err := range c.History(ctx, dev, "temperature", w.since.Add(-settle), time.Time{}, true) {
			if err != nil {
				return twin, poll, err
			}
			k := sighting{run: r.Run, seq: r.Seq}
			sampled[k] = max(sampled[k], time.Duration(r.TickNS))
		}
		for _, s := range have[min(1, len(have)):] {
			t, ok := sampled[sighting{run: s.run, seq: s.seq}]
			if !ok {
				return twin, poll, fmt.Errorf("twin of %s showed frame %s/%d, which history does not have", name, s.run, s.seq)
			}
			took = append(took, s.at-t)
		}
	}
	return spreadOf(took), spreadOf(w.polls), nil
}

func sinceBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("CLOCK_BOOTTIME: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
