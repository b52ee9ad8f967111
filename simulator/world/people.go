package world

import (
	"math"
	"time"
)

// MaxPeople bounds a room: each question about it asks after everybody.
const MaxPeople = 50

// Channels of what people do.
const (
	channelStay uint64 = iota + 201
	channelMove
)

// What a person who sits in a room does to its air in the end: 100 W against
// the fan heater's 2 kW (heaterK), and 50 g of water an hour into 40 m3 of air
// that is renewed once in that time.
const (
	personK   = heaterK / 20
	personPct = 2.5
)

const (
	// absence is the share of days on which a person does not come.
	absence = 0.1

	// fidget is how often each person may move, and restless the chance that
	// one does.
	fidget   = 4 * time.Second
	restless = 0.25
)

// A person's day, in hours UTC as the sun's: middle and half range of when and,
// of a break, of how long. The ranges do not overlap, so that a day is in order.
var workday = struct {
	come, leave [2]float64
	breaks      [3][4]float64
}{
	come:  [2]float64{8.25, 1.25},
	leave: [2]float64{17.5, 1.25},
	breaks: [3][4]float64{
		{10.25, 0.5, 0.2, 0.1}, // coffee
		{12.25, 0.5, 0.7, 0.3}, // lunch
		{15.0, 0.5, 0.2, 0.1},  // coffee
	},
}

// stay is a time in a room, in nanoseconds since midnight UTC.
type stay struct{ from, to int64 }

// stays returns a person's day in the room with that seed of its own: four
// stays between three breaks, all of them empty on a day of absence. They end
// before the day does.
func stays(own uint64, person int, day int64) (all [4]stay) {
	channel := uint64(person)<<32 | channelStay
	if (1+unit(own, channel, day*16))/2 < absence {
		return all
	}
	next := day * 16 // the day's own numbers of the channel
	hours := func(middle, half float64) int64 {
		next++
		return int64((middle + half*unit(own, channel, next)) * float64(time.Hour))
	}
	all[0].from = hours(workday.come[0], workday.come[1])
	for i, b := range workday.breaks {
		all[i].to = hours(b[0], b[1])
		all[i+1].from = all[i].to + hours(b[2], b[3])
	}
	all[3].to = hours(workday.leave[0], workday.leave[1])
	return all
}

// Occupancy returns how many people are in the named room at t. They come in
// the morning, go for breaks, and leave in the evening, each at other times on
// each day; one in ten days a person stays away.
func (w World) Occupancy(name string, r Room, t time.Time) int {
	return r.occupancy(w.Seed^hashString(name), t.UnixNano())
}

func (r Room) occupancy(own uint64, at int64) (n int) {
	today, now := floorDiv(at, int64(day)), floorMod(at, int64(day))
	for person := range r.People {
		for _, s := range stays(own, person, today) {
			if s.from <= now && now < s.to {
				n++
			}
		}
	}
	return n
}

// breath is how much of people the room's air has taken up: with n of them it
// goes to n, as a first-order low-pass of airSpan does, and back to 0. Each stay
// is one term, so that nothing is integrated. Yesterday's have faded: five hours
// are 30 time constants.
func (r Room) breath(own uint64, at int64) (sum float64) {
	today, now := floorDiv(at, int64(day)), floorMod(at, int64(day))
	for person := range r.People {
		for _, s := range stays(own, person, today) {
			if s.from < now && s.from < s.to {
				sum += fade(now-min(now, s.to)) - fade(now-s.from)
			}
		}
	}
	return sum
}

// fade is what is left in a room's air after a time without what warmed it.
func fade(ns int64) float64 { return math.Exp(-float64(ns) / float64(airSpan)) }

// Movement returns the first moment after one and not later than another at
// which somebody in the named room moves, as a motion detector sees it. It looks
// at every fidget between the two, so they should not be far apart.
func (w World) Movement(name string, r Room, after, until time.Time) (time.Time, bool) {
	own := w.Seed ^ hashString(name)
	first, last := after.UnixNano(), until.UnixNano()
	for k := floorDiv(first, int64(fidget)); k <= floorDiv(last, int64(fidget)); k++ {
		at := k*int64(fidget) + int64((1+unit(own, channelMove, 2*k))/2*float64(fidget))
		if at <= first || at > last {
			continue
		}
		still := math.Pow(1-restless, float64(r.occupancy(own, at)))
		if (1+unit(own, channelMove, 2*k+1))/2 >= still {
			return time.Unix(0, at).In(after.Location()), true
		}
	}
	return time.Time{}, false
}
