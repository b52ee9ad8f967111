package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// networks make the network between gateway and cloud bad. None of it may cost
// a reading, so that their ledgers stay empty.
var networks = []scenario{
	{name: "loss", protects: "5 % of all packets lost costs nothing", run: bad("/drop?percent=5", "/drop?percent=0")},
	{name: "reordering", protects: "packets that overtake each other change no order", run: bad("/delay?ms=10&jitter=60", "/delay?ms=0")},
	{name: "duplicates", protects: "packets that come twice are applied once", run: bad("/duplicate?percent=50", "/duplicate?percent=0")},
	{name: "slow-round-trip", protects: "a round trip of 2 s is a slow link and no dead one", run: onOne(slowRoundTrip)},
	{name: "narrow", protects: "a link that is slower than a backlog is drained in order", run: bad("/rate?kbps=64", "/rate?kbps=0")},
	{name: "blackout", protects: "silence of half a second to ten minutes ends without a loss", run: onOne(blackout)},
	{name: "nat-rebind", protects: "a gateway that is seen from another port goes on", run: onOne(natRebind)},
	{name: "lost-acks", protects: "frames that arrive while their acks do not are applied once", run: onOne(lostAcks)},
	{name: "udp-blocked", protects: "a gateway whose UDP is blocked sends over TCP, and takes UDP back when it passes again", run: onOne(udpBlocked)},
}

// onOne does something to one gateway, enough where nothing ends its process,
// and judges.
func onOne(do func(ctx context.Context, t *rig, s *line.Site) error) func(ctx context.Context, t *rig) error {
	return on([]line.Gateway{{Site: "hq", Mode: "spill"}}, func(ctx context.Context, t *rig) error {
		return do(ctx, t, t.line.Sites[0])
	})
}

// backlog lets a gateway collect readings that the cloud has not.
func backlog(ctx context.Context, s *line.Site, readings int) error {
	if err := s.Cut(); err != nil {
		return err
	}
	if err := s.Delivered(ctx, readings); err != nil {
		return err
	}
	return s.Heal()
}

// bad is a scenario of a condition of the link: live readings and the drain of a
// backlog both meet it, several times.
func bad(begin, end string) func(ctx context.Context, t *rig) error {
	return onOne(func(ctx context.Context, t *rig, s *line.Site) error {
		for range t.Rounds(20, 2) {
			if err := s.Set(begin); err != nil {
				return err
			}
			if err := backlog(ctx, s, 100+t.Rand.IntN(200)); err != nil {
				return err
			}
			if err := s.Acked(ctx); err != nil {
				return err
			}
			if err := s.Set(end); err != nil {
				return err
			}
		}
		return nil
	})
}

func slowRoundTrip(ctx context.Context, t *rig, s *line.Site) error {
	if err := s.Set("/delay?ms=1000"); err != nil {
		return err
	}
	for range t.Rounds(10, 1) {
		if err := s.Acked(ctx); err != nil { // live, on the connection that there is
			return err
		}
		if err := backlog(ctx, s, 200); err != nil {
			return err
		}
		if err := s.Acked(ctx); err != nil { // with a new one
			return err
		}
	}
	return s.Set("/delay?ms=0")
}

func blackout(ctx context.Context, t *rig, s *line.Site) error {
	const shortest = 500 * time.Millisecond
	longest := 600 * time.Second
	if t.Short {
		longest = 10 * time.Second
	}
	n := t.Rounds(10, 4)
	for i := range n {
		// Evenly in the logarithm: the phases of what waits meanwhile, probes and
		// backoff, grow as they do.
		share := (float64(i) + t.Rand.Float64()) / float64(n)
		long := time.Duration(float64(shortest) * math.Pow(float64(longest)/float64(shortest), share))
		if err := s.Cut(); err != nil {
			return err
		}
		if err := line.Pause(ctx, long); err != nil {
			return err
		}
		if err := s.Heal(); err != nil {
			return err
		}
		healed := time.Now()
		if err := s.Acked(ctx); err != nil {
			return fmt.Errorf("after %v: %w", long, err)
		}
		t.Say("%.1f s of silence, drained %.1f s later", long.Seconds(), time.Since(healed).Seconds())
	}
	return nil
}

func natRebind(ctx context.Context, t *rig, s *line.Site) error {
	for range t.Rounds(100, 10) {
		if err := s.Set("/rebind"); err != nil {
			return err
		}
		if err := line.Pause(ctx, t.Between(0, 500*time.Millisecond)); err != nil {
			return err
		}
		if t.Rand.IntN(2) == 0 { // the old port meets frames that are on their way
			if err := s.Acked(ctx); err != nil {
				return err
			}
		}
	}
	if err := s.Acked(ctx); err != nil {
		return err
	}
	return t.connects(ctx)
}

// connects notes how many connections there were.
func (t *rig) connects(ctx context.Context) error {
	sum := 0.0
	for _, s := range t.line.Sites {
		n, err := metric(ctx, s.Gateway, "atrium_uplink_connects_total")
		if err != nil {
			return err
		}
		sum += n
	}
	t.Note("%.0f connections", sum)
	return nil
}

func lostAcks(ctx context.Context, t *rig, s *line.Site) error {
	for range t.Rounds(30, 3) {
		if err := s.Set("/cut?direction=down"); err != nil {
			return err
		}
		// Past the silence after which a gateway dials again, and before it.
		if err := line.Pause(ctx, t.Between(100*time.Millisecond, 4*time.Second)); err != nil {
			return err
		}
		if err := s.Heal(); err != nil {
			return err
		}
		if err := s.Acked(ctx); err != nil {
			return err
		}
	}
	return t.connects(ctx)
}

func udpBlocked(ctx context.Context, t *rig, s *line.Site) error {
	for range t.Rounds(10, 1) {
		for _, step := range []struct {
			control string
			tcp     bool
		}{{"/block", true}, {"/unblock", false}} {
			if err := s.Set(step.control); err != nil {
				return err
			}
			if err := carried(ctx, s, step.tcp); err != nil {
				return fmt.Errorf("after %s: %w", step.control, err)
			}
			if err := s.Acked(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// carried waits until a gateway is connected over TCP, or over UDP alone.
func carried(ctx context.Context, s *line.Site, tcp bool) error {
	return line.Until(ctx, fmt.Sprintf("%s: over TCP %v", s.Gateway.Name(), tcp), func() (bool, error) {
		st, err := s.Status(ctx)
		if err != nil {
			return false, err
		}
		l, err := s.LinkState(ctx)
		return st.Connected && (l.TCPConnections > 0) == tcp, err
	})
}
