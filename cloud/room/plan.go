package room

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Plan says which devices are in which rooms of one site. The zero value has
// no rooms. Rooms and devices go by their names within the site. The slices
// that it returns belong to it.
type Plan struct {
	rooms   map[string]*Room
	members map[string][]string // of each room, sorted
	of      map[string][]string // the rooms of each member, sorted
}

// Put adds a room or replaces the one of that name. It returns the rooms whose
// members may have changed: r and those above it. A room that would break a
// limit is an error and changes nothing.
func (p *Plan) Put(r *Room) ([]string, error) {
	name := r.Name.Name
	if p.rooms == nil {
		p.rooms = make(map[string]*Room)
		p.members = make(map[string][]string)
		p.of = make(map[string][]string)
	}
	before := p.rooms[name]
	if before == nil && len(p.rooms) >= MaxRooms {
		return nil, fmt.Errorf("room: %s: the site has %d rooms: remove one first", r.Name, MaxRooms)
	}
	p.rooms[name] = r
	changed := p.upwards(name)
	next := p.gather(changed)
	if err := p.check(r, next); err != nil {
		if p.rooms[name] = before; before == nil {
			delete(p.rooms, name)
		}
		return nil, err
	}
	for _, room := range changed {
		p.set(room, next[room])
	}
	return changed, nil
}

// Remove takes a room away. It returns the rooms above it, whose members may
// have changed; the rooms below it stay. It does nothing for a room that is
// not there.
func (p *Plan) Remove(name string) []string {
	if p.rooms[name] == nil {
		return nil
	}
	delete(p.rooms, name)
	p.set(name, nil)
	delete(p.members, name)
	changed := p.upwards(name)
	for room, members := range p.gather(changed) {
		p.set(room, members)
	}
	return changed
}

// Room returns a room's document, nil if there is none.
func (p *Plan) Room(name string) *Room { return p.rooms[name] }

// Rooms returns the names of all rooms, sorted.
func (p *Plan) Rooms() []string { return slices.Sorted(maps.Keys(p.rooms)) }

// Members returns the devices of a room and of the rooms below it, sorted.
func (p *Plan) Members(name string) []string { return p.members[name] }

// Of returns the rooms that a device is a member of, sorted.
func (p *Plan) Of(device string) []string { return p.of[device] }

// upwards returns the rooms that hold the devices of a room: itself and those
// whose names it begins with, if they exist, from the outermost one.
func (p *Plan) upwards(name string) (rooms []string) {
	for i := range len(name) {
		if name[i] == '/' && p.rooms[name[:i]] != nil {
			rooms = append(rooms, name[:i])
		}
	}
	if p.rooms[name] != nil {
		rooms = append(rooms, name)
	}
	return rooms
}

// gather computes the members of the rooms from the documents.
func (p *Plan) gather(rooms []string) map[string][]string {
	found := make(map[string][]string, len(rooms))
	for _, room := range rooms {
		var all []string
		for name, r := range p.rooms {
			if name == room || strings.HasPrefix(name, room+"/") {
				all = append(all, r.Devices...)
			}
		}
		slices.Sort(all)
		found[room] = slices.Compact(all)
	}
	return found
}

// check says whether the site stays within its limits when the rooms of next
// get those members.
func (p *Plan) check(r *Room, next map[string][]string) error {
	rooms := make(map[string]int) // how many more of them a device will be in
	for room, members := range next {
		for _, device := range p.members[room] {
			rooms[device]--
		}
		for _, device := range members {
			rooms[device]++
		}
	}
	devices := len(p.of)
	for _, device := range slices.Sorted(maps.Keys(rooms)) {
		before := len(p.of[device])
		switch after := before + rooms[device]; {
		case after > MaxRoomsOfDevice:
			return fmt.Errorf("room: %s: device %s would be in %d rooms, at most %d, those above them included", r.Name, device, after, MaxRoomsOfDevice)
		case before == 0 && after > 0:
			devices++
		case before > 0 && after == 0:
			devices--
		}
	}
	if devices > MaxDevices {
		return fmt.Errorf("room: %s: the rooms of the site would name %d devices, at most %d", r.Name, devices, MaxDevices)
	}
	return nil
}

// set replaces a room's members, here and in of.
func (p *Plan) set(room string, members []string) {
	for _, device := range p.members[room] {
		if i, ok := slices.BinarySearch(p.of[device], room); ok {
			p.of[device] = slices.Delete(p.of[device], i, i+1)
		}
		if len(p.of[device]) == 0 {
			delete(p.of, device)
		}
	}
	for _, device := range members {
		if i, ok := slices.BinarySearch(p.of[device], room); !ok {
			p.of[device] = slices.Insert(p.of[device], i, room)
		}
	}
	p.members[room] = members
}
