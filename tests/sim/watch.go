package sim

import (
	"context"
	"time"

	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// watchEvery is how often the watcher looks.
const watchEvery = 200 * time.Millisecond

// watch looks at views and bounds until ctx ends.
func (s *Sim) watch(ctx context.Context) {
	views, life := newViews(s.trace), s.tap.lives()
	for {
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return
		}
		s.checkBounds()
		for _, name := range s.names() {
			asking, cancel := context.WithTimeout(ctx, time.Second)
			// An owner that recovers or just ended does not answer.
			devices, err := s.cloud.devices(asking, name)
			if now := s.tap.lives(); now != life { // the cloud was put back
				views, life = newViews(s.trace), now
			} else if err == nil {
				views.look(devices)
			}
			cancel()
		}
	}
}

// names returns the sites of the plan.
func (s *Sim) names() []id.Site {
	var all []id.Site
	seen := map[id.Site]bool{}
	for _, g := range s.gateways {
		if !seen[g.name.Site] {
			seen[g.name.Site] = true
			all = append(all, g.name.Site)
		}
	}
	return all
}

// checkBounds looks at what may not grow (I5).
func (s *Sim) checkBounds() {
	for _, g := range s.gateways {
		p := g.current()
		if p == nil {
			continue
		}
		st := p.buf.Stats()
		// One frame more than the bound may be cut before the committer has it.
		if most := gatewayMemory + wire.MaxFrame - s.sabotage.Tighter; st.MemoryBytes > most {
			s.trace.complain("I5", "%s holds %d bytes in memory, its bound is %d", g.name, st.MemoryBytes, most)
		}
		if most := g.cfg.Limit + wire.MaxFrame - s.sabotage.Tighter; st.StoredBytes > most {
			s.trace.complain("I5", "%s holds %d bytes on disk, its limit is %d", g.name, st.StoredBytes, most)
		}
	}
	for _, n := range s.cloud.all() {
		if lag, most := n.lag(), int64(queueBytes*s.plan.Cloud.Shards); lag > most {
			s.trace.complain("I5", "%s queues %d bytes before the journal, its bound is %d", n.name, lag, most)
		}
	}
}

// pointKey names a point of a twin.
type pointKey struct {
	device id.Device
	point  id.Point
}

type view struct {
	order twin.Order
	value int64
}

// views remembers what twins reported: no view may be older than one before
// it, whichever node shows it (I4).
type views struct {
	trace *trace
	last  map[pointKey]view
}

func newViews(t *trace) *views { return &views{t, map[pointKey]view{}} }

func (v *views) look(devices []site.Device) {
	for _, d := range devices {
		for _, p := range d.Points {
			if !p.Held {
				continue
			}
			key := pointKey{d.Device, p.Point}
			now, last := view{p.Order, p.Raw}, v.last[key]
			if now.order.Compare(last.order) < 0 || p.Kind != wire.KindBoolean && now.value < last.value {
				v.trace.complain("I4", "twin %s went from %d at %+v back to %d at %+v", d.Device, last.value, last.order, now.value, now.order)
			}
			v.last[key] = now
		}
	}
}
