// Package world is the weather and the rooms that simulated chips stand in: how
// warm, how humid and under what pressure a room is at a moment, who is in it,
// and what a relay has switched on there. A World is a pure function of (seed,
// room, time): it has no state, no goroutine and no clock, so that two boards
// with one seed agree and a run can be repeated. A Load remembers when it was
// switched and nothing else; between two switches its effect is a formula.
//
// Data passes through it in one step: a chip asks a Room for the Climate at the
// end of its conversion and turns it into register contents, a motion detector
// for the next Movement. Light and a knob are there for what measures voltages.
// Rooms do not influence each other, and nobody in them minds the cold.
package world

import (
	"math"
	"time"
)

// Climate is what a sensor in a room is exposed to.
type Climate struct {
	Celsius  float64 // air temperature, degrees Celsius
	Humidity float64 // relative humidity, percent, 0..100
	Pascal   float64 // absolute pressure, pascals
}

// Room describes how a room answers to the day outside.
type Room struct {
	Temperature float64       // mean temperature, degrees Celsius
	Swing       float64       // half the difference of day and night outside, kelvins
	Inertia     time.Duration // time constant of the walls, a first-order low-pass; 0 follows the outside at once
	Humidity    float64       // relative humidity at the mean temperature, percent
	People      int           // how many have their place there, 0..MaxPeople
}

// DefaultRoom is an office for three: heated to 21 degrees, with walls of three
// hours.
func DefaultRoom() Room {
	return Room{Temperature: 21, Swing: 6, Inertia: 3 * time.Hour, Humidity: 45, People: 3}
}

// World is the model of one seed. The zero value is the world of seed 0.
type World struct{ Seed uint64 }

// The model's constants. They are plausible, not measured: what matters is that
// the three quantities move at different speeds and never stand still.
const (
	day         = 24 * time.Hour
	warmest     = 15 * time.Hour // of the day in UTC: the air lags the sun by three hours
	seaLevel    = 101325.0       // standard atmosphere, pascals
	weatherSpan = 36 * time.Hour // a front passes
	weatherPa   = 1500.0
	gustSpan    = 20 * time.Minute
	gustPa      = 12.0
	draughtSpan = 7 * time.Minute // doors and windows
	draughtK    = 0.25
	breathSpan  = 11 * time.Minute
	breathPct   = 1.5

	// airSpan is the time constant of a room's air for what warms it from
	// within; the walls, which take hours, are in Room.Inertia.
	airSpan = 10 * time.Minute
)

// Climate returns what the named room is like at t. The name only tells rooms
// with equal parameters apart.
func (w World) Climate(name string, r Room, t time.Time) Climate {
	at := t.UnixNano()
	own := w.Seed ^ hashString(name)
	people := r.breath(own, at)
	celsius := r.Temperature + r.sun(at) + draughtK*noise(own, channelDraught, at, draughtSpan) + personK*people
	return Climate{
		Celsius:  celsius,
		Humidity: r.humidity(celsius) + breathPct*noise(own, channelBreath, at, breathSpan) + personPct*people,
		// One building has one pressure: the noise is the world's, not the room's.
		Pascal: seaLevel + weatherPa*noise(w.Seed, channelWeather, at, weatherSpan) + gustPa*noise(w.Seed, channelGust, at, gustSpan),
	}.within()
}

// sun is the room's answer to a sinusoidal day: a first-order low-pass of time
// constant T damps an angular frequency w by 1/sqrt(1+(wT)^2) and delays it by
// atan(wT)/w, so that the settled response needs no integration.
func (r Room) sun(at int64) float64 {
	omega := 2 * math.Pi / day.Seconds()
	lag := omega * r.Inertia.Seconds()
	phase := 2*math.Pi*float64(floorMod(at, int64(day)))/float64(day) - omega*warmest.Seconds()
	return r.Swing / math.Sqrt(1+lag*lag) * math.Cos(phase-math.Atan(lag))
}

// humidity keeps the water in the air constant: as the room warms its relative
// humidity falls with the saturation pressure.
func (r Room) humidity(celsius float64) float64 {
	return r.Humidity * saturation(r.Temperature) / saturation(celsius)
}

// saturation is the vapour pressure over water in pascals (Magnus form, WMO
// Guide to Meteorological Instruments, annex 4.B).
func saturation(celsius float64) float64 {
	return 611.2 * math.Exp(17.62*celsius/(243.12+celsius))
}

// within keeps a climate physical whatever the room's parameters are.
func (c Climate) within() Climate {
	c.Celsius = min(max(c.Celsius, -90), 200)
	c.Humidity = min(max(c.Humidity, 0), 100)
	c.Pascal = max(c.Pascal, 0)
	return c
}
