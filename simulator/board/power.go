package board

import (
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/fault"
	"github.com/atrium-iot/atrium/simulator/world"
)

// power makes the chips of a board.
type power struct {
	config *Config
	world  world.World
	start  time.Time
	last   map[id.Device]uint32 // by counter: the number that it continues above
}

// on returns what powers a chip on: a new one each time, but of a counter the
// same, because its numbers must not repeat.
func (p *power) on(bus string, c Chip) (func() chip.Chip, error) {
	probe := func(at time.Time) world.Climate {
		return p.world.Climate(c.Room, p.config.Rooms[c.Room], p.at(at))
	}
	switch c.Type {
	case "tmp102":
		return func() chip.Chip { return chip.NewTMP102(probe, c.Timing) }, nil
	case "bme280":
		cal := chip.CalibrationOf(p.config.part(bus, c.Address))
		return func() chip.Chip { return chip.NewBME280(probe, cal, c.Timing) }, nil
	case "sht31":
		return func() chip.Chip { return chip.NewSHT31(probe, c.Timing) }, nil
	case "ads1115":
		return func() chip.Chip { return chip.NewADS1115(p.inputs(c.Room), c.Timing) }, nil
	case "counter":
		counter := chip.NewCounter(p.last[c.Device])
		return func() chip.Chip { return counter }, nil
	}
	return nil, fmt.Errorf("chip type %q is unknown", c.Type)
}

// at is the world's time, which is counted from the start, so that a step of
// the wall clock does not make a room jump.
func (p *power) at(t time.Time) time.Time { return p.start.Add(t.Sub(p.start)) }

// What is wired to an ADS1115 of a board, which has a supply of 3.3 V.
const (
	supplyVolt   = 3.3
	voltPerLux   = supplyVolt / 1000 // a linear light sensor, at its end with 1000 lux
	dividerRatio = 0.5
)

// inputs is that wiring: AIN0 the light beside the room's window, AIN1 a
// potentiometer between supply and ground that is the room's knob, AIN2 half
// the supply, AIN3 ground.
func (p *power) inputs(room string) chip.Inputs {
	return func(t time.Time) [4]float64 {
		at := p.at(t)
		return [4]float64{
			min(p.world.Light(at)*voltPerLux, supplyVolt),
			p.world.Knob(room, at) * supplyVolt,
			supplyVolt * dividerRatio,
			0,
		}
	}
}

// Targets returns the board's chips for a fault.Set.
func (c *Config) Targets() []fault.Target {
	var all []fault.Target
	for _, bus := range c.Buses {
		for _, one := range bus.Chips {
			at := fault.Place{Bus: bus.Name, Address: one.Address}
			all = append(all, fault.Target{Place: at, Exact: one.Device != id.Device{}})
		}
	}
	return all
}
