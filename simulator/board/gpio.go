package board

import (
	"time"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/simulator/chip"
)

// GPIO is one GPIO chip of a board.
type GPIO struct {
	Name  string
	Parts []Part
}

// Part is one part at a line of a GPIO chip.
type Part struct {
	Type string // relay or pir
	Line int    // its offset on the chip
	Room string // a key of Config.Rooms; empty of a relay without a load
	Load Load   // of a relay
	Hold time.Duration
}

// Load is what a relay switches in its room.
type Load string

// The loads.
const (
	NoLoad Load = ""
	Heater Load = "heater"
	Lamp   Load = "lamp"
)

type (
	fileGPIO struct {
		Name  string     `yaml:"name,required"`
		Lines []filePart `yaml:"lines,required"`
	}
	filePart struct {
		Type string         `yaml:"type,required"`
		Line uint16         `yaml:"line,required"`
		Room string         `yaml:"room"`
		Load string         `yaml:"load"`
		Hold *time.Duration `yaml:"hold" range:"2500ms..5m"` // chip.MinHold to chip.MaxHold
	}
)

func (p *parser) gpio(path string, f fileGPIO) error {
	if err := p.name(path, f.Name); err != nil {
		return err
	}
	g := GPIO{Name: f.Name}
	taken := map[int]bool{}
	for i, one := range f.Lines {
		at := config.Index(path+".lines", i)
		part, err := p.part(at, one)
		if err != nil {
			return err
		}
		if taken[part.Line] {
			return p.doc.Errorf(at+".line", "line %d is already taken on GPIO chip %q", part.Line, f.Name)
		}
		taken[part.Line] = true
		g.Parts = append(g.Parts, part)
	}
	p.config.GPIO = append(p.config.GPIO, g)
	return nil
}

func (p *parser) part(at string, f filePart) (Part, error) {
	fault := func(key, format string, args ...any) (Part, error) {
		return Part{}, p.doc.Errorf(config.Join(at, key), format, args...)
	}
	one := Part{Type: f.Type, Line: int(f.Line), Room: f.Room, Load: Load(f.Load)}
	if one.Line >= chip.GPIOLines {
		return fault("line", "want 0 to %d, got %d", chip.GPIOLines-1, f.Line)
	}
	_, known := p.config.Rooms[f.Room]
	switch {
	case f.Type != "relay" && f.Type != "pir":
		return fault("type", "want relay or pir, got %q", f.Type)
	case f.Type == "pir" && one.Load != NoLoad:
		return fault("load", "only a relay has a load")
	case f.Type == "relay" && f.Hold != nil:
		return fault("hold", "only a pir has a hold time")
	case one.Load != NoLoad && one.Load != Heater && one.Load != Lamp:
		return fault("load", "want heater or lamp, or no load, got %q", f.Load)
	case !known && (f.Room != "" || f.Type == "pir" || one.Load != NoLoad):
		return fault("room", "want one of the rooms %s, got %q", names(p.config.Rooms), f.Room)
	}
	if f.Type == "pir" {
		one.Hold = chip.MinHold
		set(&one.Hold, f.Hold)
	}
	return one, nil
}
