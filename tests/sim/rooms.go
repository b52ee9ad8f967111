package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// picture is what a site shows at one moment.
type picture struct {
	rooms     []site.Room
	pipelines []site.Pipeline
	devices   []site.Device
}

// errMoving says that the site changed while it was looked at.
var errMoving = errors.New("the site did not stand still")

// look takes a site's picture.
func (c *cloud) look(ctx context.Context, name id.Site) (picture, error) {
	return askOwner(ctx, c, name, func(s *site.Shard) (p picture, err error) {
		before, err := s.Progress(ctx)
		if err != nil {
			return p, err
		}
		for _, ask := range []func() error{
			func() (err error) { p.rooms, err = s.Rooms(ctx, name); return err },
			func() (err error) { p.pipelines, err = s.Pipelines(ctx, name); return err },
			func() (err error) { p.devices, err = s.Devices(ctx, name); return err },
		} {
			if err := ask(); err != nil {
				return p, err
			}
		}
		if after, err := s.Progress(ctx); err != nil || after != before {
			return p, errors.Join(errMoving, err)
		}
		return p, nil
	})
}

// documentsDiffer says in what a site's documents are not those that were
// written last.
func (s *Sim) documentsDiffer(ctx context.Context, name id.Site) error {
	n := s.cloud.some()
	if n == nil {
		return errNoNode
	}
	p, err := s.cloud.look(ctx, name)
	if err != nil {
		return err
	}
	has := map[docName]uint64{}
	for _, r := range p.rooms {
		has[docName{name, document.Room, r.Room.Name}] = r.Revision
	}
	for _, r := range p.pipelines {
		has[docName{name, document.Pipeline, r.Pipeline.Name}] = r.Revision
	}
	s.office.desk <- struct{}{}
	defer func() { <-s.office.desk }()
	want := maps.Clone(s.office.last)
	for _, d := range n.catalog.Of(name) {
		at := docName{name, document.Kind(d.Kind), d.Name}
		if want[at] != string(d.Text) {
			return fmt.Errorf("the catalog has %s %s as %q, it was written as %q", at.kind, at, d.Text, want[at])
		}
		if has[at] != d.Revision {
			return fmt.Errorf("the site has %s %s in revision %d, the catalog in %d", at.kind, at, has[at], d.Revision)
		}
		delete(want, at)
		delete(has, at)
	}
	for at, text := range want {
		if at.site == name && text != "" {
			return fmt.Errorf("the catalog lacks %s %s", at.kind, at)
		}
	}
	for at := range has {
		return fmt.Errorf("the site has %s %s, the catalog has not", at.kind, at)
	}
	return nil
}

// checkSites compares documents with the catalog, rooms with the twins, and
// relays with their lines.
func (s *Sim) checkSites(ctx context.Context) {
	for _, name := range s.names() {
		if err := s.documentsDiffer(ctx, name); err != nil {
			s.trace.complain("documents", "site %s: %v", name, err)
			continue
		}
		p, err := s.cloud.look(ctx, name)
		if err != nil {
			s.trace.complain("rooms", "site %s: %v", name, err)
			continue
		}
		s.checkRooms(&p)
		s.checkRelays(p.devices)
	}
}

// checkRelays holds the twins of relays against their lines.
func (s *Sim) checkRelays(devices []site.Device) {
	for _, g := range s.gateways {
		relay := g.board.panel.actuators[relayDevice].device
		i := slices.IndexFunc(devices, func(d site.Device) bool { return d.Device == relay })
		if i < 0 {
			continue // of the other site
		}
		on := g.board.panel.isOn()
		for _, p := range devices[i].Points {
			if p.Point == "on" && p.Held && p.Value != float64(index(on)) {
				s.trace.complain("I4", "twin %s shows %+v, its line is high: %t", relay, p, on)
			}
		}
	}
}

// checkRooms computes each room once more from the twins.
func (s *Sim) checkRooms(p *picture) {
	twins := map[string]*site.Device{}
	for i := range p.devices {
		twins[p.devices[i].Device.Name] = &p.devices[i]
	}
	for i := range p.rooms {
		r := &p.rooms[i]
		members := s.membersOf(r.Room)
		if !slices.Equal(members, r.Devices) {
			s.trace.complain("rooms", "room %s has the members %v, its documents say %v", r.Room, r.Devices, members)
		}
		want, live := aggregate(members, twins)
		for _, a := range r.Aggregates {
			key := aggregateKey{a.Point, a.Unit, a.Kind}
			if !alike(want[key], a) {
				s.trace.complain("rooms", "room %s shows %+v, its twins give %+v", r.Room, a, want[key])
			}
			delete(want, key)
		}
		if len(want) > 0 || live != r.Live {
			s.trace.complain("rooms", "room %s shows %d live members and lacks %v, its twins give %d", r.Room, r.Live, want, live)
		}
	}
}

// membersOf returns the devices of a room and of those below it, by what was
// written last.
func (s *Sim) membersOf(name id.Room) []string {
	all := map[string]bool{}
	for at, text := range s.office.last {
		below := at.name == name.Name || strings.HasPrefix(at.name, name.Name+"/")
		if at.site == name.Site && at.kind == document.Room && below && text != "" {
			for _, d := range s.devicesOf(at, versionOf([]byte(text))) {
				all[d] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

type aggregateKey struct {
	point id.Point
	unit  string
	kind  wire.ColumnKind
}

// aggregate is what members say together, in the plainest way.
func aggregate(members []string, twins map[string]*site.Device) (all map[aggregateKey]room.Aggregate, live int) {
	all = map[aggregateKey]room.Aggregate{}
	for _, name := range members {
		t := twins[name]
		if t == nil || t.Liveness != twin.Live {
			continue
		}
		live++
		for _, p := range t.Points {
			if !p.Held || p.Now == wire.Bad || p.Kind == wire.KindText {
				continue
			}
			key := aggregateKey{p.Point, p.Unit, p.Kind}
			a, had := all[key]
			if !had {
				a = room.Aggregate{Point: p.Point, Unit: p.Unit, Kind: p.Kind, Min: p.Value, Max: p.Value}
			}
			a.Mean = (a.Mean*float64(a.Count) + p.Value) / float64(a.Count+1)
			a.Count++
			a.Min, a.Max = min(a.Min, p.Value), max(a.Max, p.Value)
			a.Any = a.Any || p.Value != 0
			a.NewestAt = max(a.NewestAt, p.Sampled.UnixMicro())
			all[key] = a
		}
	}
	return all, live
}

// alike compares aggregates, whose means may round differently.
func alike(a, b room.Aggregate) bool {
	near := math.Abs(a.Mean-b.Mean) <= 1e-9*math.Abs(a.Mean)
	a.Mean = b.Mean
	return near && a == b
}

// read reports whether every device was read since its gateway began.
func (g *gateway) read() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Since(g.began[len(g.began)-1]) > actuatorsEvery+time.Second
}
