package board

import (
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/fault"
	"github.com/atrium-iot/atrium/simulator/world"
)

// power makes the chips and parts of a board.
type power struct {
	config *Config
	world  world.World
	time   timeline
	last   map[id.Device]uint32  // by counter: the number that it continues above
	loads  map[wired]*world.Load // by what they are wired to
}

// wired is a line of a GPIO chip.
type wired struct {
	chip string
	line int
}

func newPower(c *Config, last map[id.Device]uint32) *power {
	p := &power{config: c, world: world.World{Seed: c.Seed}, time: c.Clock.run(time.Now()), last: last, loads: map[wired]*world.Load{}}
	for _, g := range c.GPIO {
		for _, one := range g.Parts {
			if one.Load != NoLoad {
				p.loads[wired{g.Name, one.Line}] = &world.Load{}
			}
		}
	}
	return p
}

// loadsOf returns what is switched in a room and is of that kind.
func (p *power) loadsOf(room string, kind Load) (of []*world.Load) {
	for _, g := range p.config.GPIO {
		for _, one := range g.Parts {
			if one.Room == room && one.Load == kind {
				of = append(of, p.loads[wired{g.Name, one.Line}])
			}
		}
	}
	return of
}

// probe returns the climate of a room: the world's, and what its heaters make
// of it.
func (p *power) probe(room string) chip.Probe {
	heaters := p.loadsOf(room, Heater)
	return func(t time.Time) world.Climate {
		at := p.time.world(t)
		air := p.world.Climate(room, p.config.Rooms[room], at)
		for _, h := range heaters {
			air = air.Warmed(h.Kelvins(at))
		}
		return air
	}
}

// on returns what powers a chip on: a new one each time, but of a counter the
// same, because its numbers must not repeat.
func (p *power) on(bus string, c Chip) (func() chip.Chip, error) {
	probe := p.probe(c.Room)
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

// part returns what powers a part on: a new detector each time, but the same
// relay, whose contacts stay what they are without power.
func (p *power) part(gpio string, one Part) func() chip.Part {
	if one.Type == "pir" {
		return func() chip.Part { return chip.NewPIR(p.movement(one.Room), one.Hold) }
	}
	relay := chip.NewRelay(func(time.Time, bool) {})
	if load := p.loads[wired{gpio, one.Line}]; load != nil {
		relay = chip.NewRelay(func(at time.Time, closed bool) { load.Switch(p.time.world(at), closed) })
	}
	return func() chip.Part { return relay }
}

// movement is the world's, in the time of the detector.
func (p *power) movement(room string) chip.Movement {
	return func(after, until time.Time) (time.Time, bool) {
		at, ok := p.world.Movement(room, p.config.Rooms[room], p.time.world(after), p.time.world(until))
		if !ok {
			return time.Time{}, false
		}
		return p.time.first(at), true
	}
}

// What is wired to an ADS1115 of a board, which has a supply of 3.3 V.
const (
	supplyVolt   = 3.3
	voltPerLux   = supplyVolt / 1000 // a linear light sensor, at its end with 1000 lux
	dividerRatio = 0.5
)

// inputs is that wiring: AIN0 the light beside the room's window and lamps, AIN1 a
// potentiometer between supply and ground that is the room's knob, AIN2 half
// the supply, AIN3 ground.
func (p *power) inputs(room string) chip.Inputs {
	lamps := p.loadsOf(room, Lamp)
	return func(t time.Time) [4]float64 {
		at := p.time.world(t)
		lux := p.world.Light(at)
		for _, l := range lamps {
			lux += l.Lux(at)
		}
		return [4]float64{
			min(lux*voltPerLux, supplyVolt),
			p.world.Knob(room, at) * supplyVolt,
			supplyVolt * dividerRatio,
			0,
		}
	}
}

// Targets returns the board's chips and parts for a fault.Set.
func (c *Config) Targets() []fault.Target {
	var all []fault.Target
	for _, bus := range c.Buses {
		for _, one := range bus.Chips {
			at := fault.Place{Bus: bus.Name, Address: one.Address}
			all = append(all, fault.Target{Place: at, Exact: one.Device != id.Device{}})
		}
	}
	for _, g := range c.GPIO {
		for _, one := range g.Parts {
			all = append(all, fault.Target{Place: placeOfPart(g.Name, one)})
		}
	}
	return all
}

func placeOfPart(gpio string, one Part) fault.Place {
	return fault.Place{Bus: gpio, Address: uint16(one.Line), Line: true}
}
