package site

import (
	"fmt"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

// rooms are a site's rooms: who is in which, and an actor for each. They are
// made from the documents and the twins and are in no snapshot.
type rooms struct {
	plan   room.Plan
	actors map[string]*roomActor
	noted  []*twinActor // that changed in this turn
}

// roomActor calls room.State.Step with what waits for it.
type roomActor struct {
	site  *site
	name  string // within the site
	ref   actor.Ref[roomMessage]
	state room.State
	inbox []room.Input
}

// roomMessage says that the inbox has something, or that the room is no more.
type roomMessage struct{ end bool }

// Receive takes what waits.
func (a *roomActor) Receive(ctx *actor.ContextOf[roomMessage]) {
	if ctx.Message().end {
		ctx.Stop()
		return
	}
	a.take()
}

func (a *roomActor) take() {
	changed := false
	for _, in := range a.inbox {
		changed = a.state.Step(in) || changed
	}
	clear(a.inbox)
	a.inbox = a.inbox[:0]
	if changed {
		a.site.marks.add(entity{site: a.site.id, kind: aRoom, name: a.name})
	}
}

// note remembers that a twin has changed. Its rooms hear of it once the other
// twins that the record reached have changed too: one message a room, so that a
// tick that silences all devices of a site stays below the turn's limit however
// many rooms they are in.
func (r *rooms) note(ctx *actor.ContextOf[message], t *twinActor) {
	if t.told || len(r.plan.Of(t.device)) == 0 {
		return
	}
	if len(r.noted) == 0 {
		send(ctx, t.site.router, message{settle: true})
	}
	t.told, r.noted = true, append(r.noted, t)
}

// tellRooms tells each room what its members among the noted twins say.
func (s *site) tellRooms(ctx *actor.ContextOf[message]) {
	r := &s.rooms
	for _, t := range r.noted {
		t.told = false
		in := t.says()
		for _, name := range r.plan.Of(t.device) {
			a := r.actors[name]
			if len(a.inbox) == 0 {
				send(ctx, a.ref, roomMessage{})
			}
			a.inbox = append(a.inbox, in)
		}
	}
	clear(r.noted)
	r.noted = r.noted[:0]
}

// putRoom takes a room's document. It returns the rooms whose members may have
// changed.
func (s *site) putRoom(d journal.Document) (changed []string, err error) {
	name := id.Room{Site: s.id, Name: d.Name}
	doc, err := room.Parse(name.String(), d.Text)
	if err != nil {
		return nil, err
	}
	if doc.Name != name {
		return nil, fmt.Errorf("document of room %s describes %s", name, doc.Name)
	}
	if changed, err = s.rooms.plan.Put(doc); err != nil {
		return nil, err
	}
	if s.rooms.actors[d.Name] == nil {
		if s.rooms.actors == nil {
			s.rooms.actors = make(map[string]*roomActor)
		}
		a := &roomActor{site: s, name: d.Name}
		a.ref = spawn[roomMessage](s, a, "room", d.Name)
		s.rooms.actors[d.Name] = a
	}
	return changed, nil
}

// removeRoom takes a room away and returns as putRoom does.
func (s *site) removeRoom(ctx *actor.ContextOf[message], name string) (changed []string) {
	send(ctx, s.rooms.actors[name].ref, roomMessage{end: true})
	delete(s.rooms.actors, name)
	s.marks.add(entity{site: s.id, kind: aRoom, name: name})
	return s.rooms.plan.Remove(name)
}

// redefine puts into a room's inbox who its members are and what they say.
func (s *site) redefine(name string) *roomActor {
	a := s.rooms.actors[name]
	members := s.rooms.plan.Members(name)
	a.inbox = append(a.inbox, room.Input{Kind: room.Define, Members: members})
	for _, device := range members {
		if t := s.twins[device]; t != nil {
			a.inbox = append(a.inbox, t.says())
		}
	}
	s.marks.add(entity{site: s.id, kind: aRoom, name: name})
	return a
}
