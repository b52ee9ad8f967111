package world

import (
	"math"
	"time"
)

// Channels of what happens beside the climate.
const (
	channelCloud uint64 = iota + 101
	channelKnob
)

const (
	noon      = 12 * time.Hour // of the day in UTC
	clearLux  = 800.0          // beside a window at noon, under a clear sky
	overcast  = 0.25           // of it is left under thick clouds
	cloudSpan = 9 * time.Minute
	knobSpan  = 10 * time.Minute // somebody turns it about that often
)

// Light returns the illuminance beside a window in lux: daylight
// from 6 to 18 h UTC, behind clouds that all rooms share. A lamp adds its
// Load.Lux.
func (w World) Light(t time.Time) float64 {
	at := t.UnixNano()
	hour := 2 * math.Pi * float64(floorMod(at, int64(day))-int64(noon)) / float64(day)
	clouds := (1 + noise(w.Seed, channelCloud, at, cloudSpan)) / 2
	return max(0, math.Cos(hour)) * clearLux * (overcast + (1-overcast)*(1-clouds))
}

// Knob returns the position of the named room's knob, 0 to 1. It stands still
// between the moments when somebody turns it.
func (w World) Knob(name string, t time.Time) float64 {
	turn := floorDiv(t.UnixNano(), int64(knobSpan))
	return (1 + unit(w.Seed^hashString(name), channelKnob, turn)) / 2
}

// Warmed returns the climate of air that was heated by that many kelvins: it
// holds the same water, so its relative humidity falls.
func (c Climate) Warmed(kelvins float64) Climate {
	dry := saturation(c.Celsius) / saturation(c.Celsius+kelvins)
	c.Celsius += kelvins
	c.Humidity *= dry
	return c.within()
}
