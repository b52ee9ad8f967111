package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/atrium-iot/atrium/shared/id"
)

// ErrBehind says that a watch was ended since more has changed than may wait
// for it.
var ErrBehind = errors.New("more has changed than a watcher can be behind")

// maxTake is how many changes one Take returns: the shard's goroutine makes
// them between two messages.
const maxTake = 256

// entityKind tells apart what a watcher hears of.
type entityKind uint8

const (
	aSite entityKind = iota
	aGateway
	aDevice
	aRoom
	anAlarm
	aCommand
	theReady // not an entity: the whole state was told
)

// entity names something that has changed.
type entity struct {
	site   id.Site
	kind   entityKind
	name   string // of an alarm: its pipeline
	device string // of an alarm
	stage  int    // of an alarm
}

// marks tells a shard's watchers what changes. It belongs to the shard's
// goroutine.
type marks struct {
	shard   int
	watches []*Watch
}

// scope is a site's part of its actors' names. A node may have the site in one
// shard while another, which the site has left, replays its time there.
func (m *marks) scope(site id.Site) string { return fmt.Sprintf("%d/%s", m.shard, site) }

func (m *marks) add(e entity) {
	for _, w := range m.watches {
		w.add(e)
	}
}

// endWatches ends all watches: what they know is not what follows.
func (s *Shard) endWatches() {
	for _, w := range s.marks.watches {
		w.end(ErrEnded)
	}
	s.marks.watches = nil
	s.metrics.watchers.Set(0)
}

// Watch hears of what changes in a shard's sites. It remembers names only, each
// once however often it changes, so that one who is slow gets the newest state
// and not all that was.
type Watch struct {
	shard *Shard
	sites []id.Site // none: all
	wake  chan<- struct{}

	mu    sync.Mutex
	dirty map[entity]bool
	queue []entity // the dirty ones, in the order in which they became so
	round int      // of the queue: what waited when the last Take that was behind began
	err   error    // why it was ended
}

// Watch begins to watch some sites, or all if none is named. At first all of
// their state has changed; Ready marks its end. wake, of room for one, gets a
// value when there is something to Take. Close ends it.
func (s *Shard) Watch(ctx context.Context, sites []id.Site, wake chan<- struct{}) (*Watch, error) {
	w := &Watch{shard: s, sites: sites, wake: wake, dirty: make(map[entity]bool)}
	err := s.ask(ctx, func() {
		for _, name := range s.names() {
			s.sites[name].each(w.add)
		}
		w.add(entity{kind: theReady})
		s.marks.watches = append(s.marks.watches, w)
		s.metrics.watchers.Set(float64(len(s.marks.watches)))
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Close ends the watch.
func (w *Watch) Close() {
	s := w.shard
	// An error says that the shard has ended: it has no watches.
	_ = s.ask(context.Background(), func() {
		s.marks.watches = slices.DeleteFunc(s.marks.watches, func(o *Watch) bool { return o == w })
		s.metrics.watchers.Set(float64(len(s.marks.watches)))
	})
}

func (w *Watch) add(e entity) {
	if e.kind != theReady && len(w.sites) > 0 && !slices.Contains(w.sites, e.site) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dirty[e] || w.err != nil {
		return
	}
	if len(w.queue) >= MaxWatched {
		w.fail(ErrBehind)
		return
	}
	w.dirty[e] = true
	w.queue = append(w.queue, e)
	if len(w.queue) == 1 {
		w.poke()
	}
}

func (w *Watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail(err)
}

// fail ends the watch and lets go of what it has not told.
func (w *Watch) fail(err error) {
	w.err, w.dirty, w.queue, w.round = err, nil, nil, 0
	w.poke()
}

func (w *Watch) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next takes the names that waited longest.
func (w *Watch) next() ([]entity, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, fmt.Errorf("site: watch: %w", w.err)
	}
	if w.round == 0 {
		w.round = len(w.queue)
	}
	some := slices.Clone(w.queue[:min(maxTake, w.round)])
	w.queue = slices.Delete(w.queue, 0, len(some))
	w.round -= len(some)
	for _, e := range some {
		delete(w.dirty, e)
	}
	if len(w.queue) > 0 {
		w.poke()
	}
	return some, nil
}

// Behind reports whether Take has more of what waited when it was called first:
// who wants a rest between changes takes it when it is not.
func (w *Watch) Behind() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.round > 0
}

// Change is what became of one thing: exactly one field is set.
type Change struct {
	Site    *Summary
	Gateway *Gateway
	Device  *Device
	Room    *Room
	Alarm   *Alarm
	Command *Command
	Gone    *Gone
	Ready   bool
}

// Gone names a room, an alarm or a command that is no more.
type Gone struct {
	Kind   string
	Site   id.Site
	Name   string
	Device string // of an alarm
	Stage  int    // of an alarm
}

// Take returns some of what has changed since it was last told, as it is now;
// nothing if nothing has. ErrEnded, ErrBehind: the watch is over.
func (w *Watch) Take(ctx context.Context) ([]Change, error) {
	names, err := w.next()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	changes := make([]Change, 0, len(names))
	err = w.shard.ask(ctx, func() {
		for _, e := range names {
			if e.kind == theReady {
				changes = append(changes, Change{Ready: true})
			} else if st := w.shard.sites[e.site]; st != nil && st.has(e) {
				changes = append(changes, st.change(e))
			}
		}
	})
	if err != nil {
		for _, e := range names {
			w.add(e)
		}
		return nil, err
	}
	return changes, nil
}

// each names all that a watcher of the site hears of.
func (s *site) each(f func(entity)) {
	f(entity{site: s.id, kind: aSite})
	names := func(kind entityKind, names []string) {
		for _, name := range names {
			f(entity{site: s.id, kind: kind, name: name})
		}
	}
	names(aGateway, slices.Sorted(maps.Keys(s.gateways)))
	names(aDevice, slices.Sorted(maps.Keys(s.twins)))
	names(aRoom, s.rooms.plan.Rooms())
	for _, a := range s.alarms() {
		f(entity{site: s.id, kind: anAlarm, name: a.Pipeline.Name, device: a.Device, stage: a.Stage})
	}
	for _, c := range s.commands.state.List() {
		f(entity{site: s.id, kind: aCommand, name: c.ID.String()})
	}
}

// has reports whether a gateway or a device is there: a turn that failed may
// have made it, and nobody was told of it.
func (s *site) has(e entity) bool {
	switch e.kind {
	case aGateway:
		return s.gateways[e.name] != nil
	case aDevice:
		return s.twins[e.name] != nil
	}
	return true
}

// change shows what became of an entity that the site has or had.
func (s *site) change(e entity) (c Change) {
	switch e.kind {
	case aSite:
		v := s.summary()
		c.Site = &v
	case aGateway:
		v := s.gateways[e.name].view()
		c.Gateway = &v
	case aDevice:
		v := s.twins[e.name].view()
		c.Device = &v
	case aRoom:
		if a := s.rooms.actors[e.name]; a != nil {
			v := a.view()
			c.Room = &v
			return c
		}
		c.Gone = &Gone{Kind: "room", Site: s.id, Name: e.name}
	case anAlarm:
		if v, ok := s.alarm(e.name, e.device, e.stage); ok {
			c.Alarm = &v
			return c
		}
		c.Gone = &Gone{Kind: "alarm", Site: s.id, Name: e.name, Device: e.device, Stage: e.stage}
	case aCommand:
		if v, ok := s.command(e.name); ok {
			c.Command = &v
			return c
		}
		c.Gone = &Gone{Kind: "command", Site: s.id, Name: e.name}
	}
	return c
}

func (s *site) command(name string) (Command, bool) {
	c, err := id.ParseCommand(name)
	if err != nil {
		return Command{}, false
	}
	v, ok := s.commands.state.Get(c)
	return Command{Site: s.id, Command: v}, ok
}
