package room

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Plan says which devices are in which rooms of one site. The zero value has
// no rooms. Rooms and devices go by their names within the site.
type Plan struct {
	rooms   map[string]*Room
	members map[string]map[string]int // of each room: how many documents of it and below it name a device
	of      map[string][]string       // the rooms of each member, sorted
}

// Put adds a room or replaces the one of that name. It returns the rooms whose
// members may have changed: r and those above it. A room that would break a
// limit is an error and changes nothing.
func (p *Plan) Put(r *Room) ([]string, error) {
	if p.rooms == nil {
		p.rooms = make(map[string]*Room)
		p.members = make(map[string]map[string]int)
		p.of = make(map[string][]string)
	}
	name := r.Name.Name
	before := p.rooms[name]
	if before == nil && len(p.rooms) >= MaxRooms {
		return nil, fmt.Errorf("room: %s: the site has %d rooms: remove one first", r.Name, MaxRooms)
	}
	p.swap(name, r)
	if err := p.check(r); err != nil {
		p.swap(name, before)
		return nil, err
	}
	return p.upwards(name), nil
}

// Remove takes a room away. It returns the rooms above it, whose members may
// have changed; the rooms below it stay. It does nothing for a room that is
// not there.
func (p *Plan) Remove(name string) []string {
	if p.rooms[name] == nil {
		return nil
	}
	p.swap(name, nil)
	return p.upwards(name)
}

// Room returns a room's document, nil if there is none.
func (p *Plan) Room(name string) *Room { return p.rooms[name] }

// Rooms returns the names of all rooms, sorted.
func (p *Plan) Rooms() []string { return slices.Sorted(maps.Keys(p.rooms)) }

// Members returns the devices of a room and of the rooms below it, sorted.
func (p *Plan) Members(name string) []string { return slices.Sorted(maps.Keys(p.members[name])) }

// Of returns the rooms that a device is a member of, sorted. They belong to
// the plan and hold until it changes.
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

// swap puts a document in the place of another; nil is none.
func (p *Plan) swap(name string, r *Room) {
	before := p.rooms[name]
	if before == nil {
		p.rooms[name] = r
		p.begin(name)
	}
	rooms := p.upwards(name)
	if r != nil {
		p.count(rooms, r.Devices, 1)
	}
	if before != nil {
		p.count(rooms, before.Devices, -1)
	}
	if p.rooms[name] = r; r == nil {
		for device := range p.members[name] {
			p.leave(name, device)
		}
		delete(p.members, name)
		delete(p.rooms, name)
	}
}

// begin makes a room's members of what the rooms below it have.
func (p *Plan) begin(name string) {
	p.members[name] = make(map[string]int)
	below := name + "/"
	for other, r := range p.rooms {
		if strings.HasPrefix(other, below) {
			p.count([]string{name}, r.Devices, 1)
		}
	}
}

// count adds by to what each of the rooms has of the devices.
func (p *Plan) count(rooms, devices []string, by int) {
	for _, room := range rooms {
		members := p.members[room]
		for _, device := range devices {
			was := members[device]
			members[device] = was + by
			switch {
			case was == 0:
				i, _ := slices.BinarySearch(p.of[device], room)
				p.of[device] = slices.Insert(p.of[device], i, room)
			case was+by == 0:
				delete(members, device)
				p.leave(room, device)
			}
		}
	}
}

// leave takes a room out of a device's.
func (p *Plan) leave(room, device string) {
	if i, ok := slices.BinarySearch(p.of[device], room); ok {
		p.of[device] = slices.Delete(p.of[device], i, i+1)
	}
	if len(p.of[device]) == 0 {
		delete(p.of, device)
	}
}

// check says whether the site is within its limits, after a document changed:
// only members of its room can be in more rooms than before.
func (p *Plan) check(r *Room) error {
	if len(p.of) > MaxDevices {
		return fmt.Errorf("room: %s: the rooms of the site would name %d devices, at most %d", r.Name, len(p.of), MaxDevices)
	}
	crowded := ""
	for device := range p.members[r.Name.Name] {
		if len(p.of[device]) > MaxRoomsOfDevice && (crowded == "" || device < crowded) {
			crowded = device
		}
	}
	if crowded != "" {
		return fmt.Errorf("room: %s: device %s would be in %d rooms, at most %d, those above them included", r.Name, crowded, len(p.of[crowded]), MaxRoomsOfDevice)
	}
	return nil
}
