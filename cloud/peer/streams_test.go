package peer_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
)

// store is the state of one shard, as its owner of the moment shows it: rooms,
// each with a number.
type store struct {
	mu      sync.Mutex
	rooms   map[string]int
	open    map[*looker]bool
	refused error // why nobody may watch
}

func newStore() *store { return &store{rooms: make(map[string]int), open: make(map[*looker]bool)} }

// put changes a room; 0 removes it.
func (s *store) put(room string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[room] = n; n == 0 {
		delete(s.rooms, room)
	}
	for l := range s.open {
		l.add(room)
	}
}

// end ends all watches, as an owner does that stops.
func (s *store) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.open {
		l.ended = true
		l.poke()
	}
	clear(s.open)
}

func (s *store) watchers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *store) watch() (api.Events, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != nil {
		return nil, s.refused
	}
	l := &looker{store: s, wake: make(chan struct{}, 1), dirty: make(map[string]bool)}
	for _, room := range slices.Sorted(maps.Keys(s.rooms)) {
		l.add(room)
	}
	l.add("") // ready
	s.open[l] = true
	return l, nil
}

// looker is a watch of a store: it remembers what has changed, as site.Watch.
type looker struct {
	store *store
	wake  chan struct{}
	dirty map[string]bool
	queue []string
	ended bool
}

func (l *looker) add(room string) {
	if !l.dirty[room] {
		l.dirty[room] = true
		l.queue = append(l.queue, room)
	}
	l.poke()
}

func (l *looker) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Next returns at most three events, so that more is said.
func (l *looker) Next(ctx context.Context, wait time.Duration) ([]client.Event, bool, error) {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	for {
		if out, more, err := l.take(); err != nil || len(out) > 0 {
			return out, more, err
		}
		select {
		case <-l.wake:
		case <-enough.C:
			return nil, false, nil
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

func (l *looker) take() (out []client.Event, more bool, err error) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.ended {
		return nil, false, errors.New("the shard has ended")
	}
	for len(l.queue) > 0 && len(out) < 3 {
		room := l.queue[0]
		l.queue = l.queue[1:]
		delete(l.dirty, room)
		n, has := l.store.rooms[room]
		switch {
		case room == "":
			out = append(out, client.Event{Ready: new(struct{})})
		case has:
			out = append(out, client.Event{Room: &client.Room{Room: room, Live: n}})
		default:
			out = append(out, client.Event{Gone: &client.Gone{Kind: "room", Name: room}})
		}
	}
	return out, len(l.queue) > 0, nil
}

func (l *looker) Close() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	delete(l.store.open, l)
}

// seen is what a subscriber knows.
type seen struct {
	events api.Events
	rooms  map[string]int
	ready  int
}

func see(events api.Events) *seen { return &seen{events: events, rooms: make(map[string]int)} }

// until takes events until the picture is as wanted.
func (s *seen) until(ctx context.Context, holds func() bool) error {
	for !holds() {
		some, _, err := s.events.Next(ctx, 50*time.Millisecond)
		if err != nil {
			return err
		}
		for _, e := range some {
			switch {
			case e.Ready != nil:
				s.ready++
			case e.Room != nil:
				s.rooms[e.Room.Room] = e.Room.Live
			case e.Gone != nil:
				delete(s.rooms, e.Gone.Name)
			}
		}
	}
	return nil
}

// shows waits until the picture is what the stores hold.
func (s *seen) shows(ctx context.Context, stores ...*store) error {
	return s.until(ctx, func() bool {
		want := make(map[string]int)
		for _, st := range stores {
			st.mu.Lock()
			maps.Copy(want, st.rooms)
			st.mu.Unlock()
		}
		return s.ready == 1 && maps.Equal(s.rooms, want)
	})
}
