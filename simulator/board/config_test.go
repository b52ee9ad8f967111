package board

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/simulator/chip"
)

func TestAFaultyBoardIsRefusedWithItsPlace(t *testing.T) {
	datadriven.RunTest(t, "testdata/config", func(t *testing.T, d *datadriven.TestData) string {
		c, err := ParseConfig("board.yaml", []byte(d.Input))
		if err != nil {
			return err.Error() + "\n"
		}
		return show(c)
	})
}

func show(c *Config) string {
	var s strings.Builder
	fmt.Fprintf(&s, "seed %d\n", c.Seed)
	if c.Clock.Pace != 1 || c.Clock.Hour != nil {
		fmt.Fprintf(&s, "pace %d", c.Clock.Pace)
		if c.Clock.Hour != nil {
			fmt.Fprintf(&s, " from %vh", *c.Clock.Hour)
		}
		s.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(c.Rooms)) {
		r := c.Rooms[name]
		fmt.Fprintf(&s, "room %s %v +-%v %v %v%% %d people\n", name, r.Temperature, r.Swing, r.Inertia, r.Humidity, r.People)
	}
	for _, bus := range c.Buses {
		for _, one := range bus.Chips {
			fmt.Fprintf(&s, "%s %#x %s", bus.Name, one.Address, one.Type)
			if one.Room != "" {
				s.WriteString(" " + one.Room)
			}
			if one.Device.Name != "" {
				s.WriteString(" " + one.Device.String())
			}
			if one.Timing == chip.Slowest {
				s.WriteString(" slowest")
			}
			s.WriteByte('\n')
		}
	}
	for _, g := range c.GPIO {
		for _, one := range g.Parts {
			fmt.Fprintf(&s, "%s %d %s %q %q %v\n", g.Name, one.Line, one.Type, one.Room, one.Load, one.Hold)
		}
	}
	return s.String()
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("{pace: 60, hour: 8, rooms: {a: {}}, gpio: [{name: g, lines: [{type: relay, line: 27, room: a, load: heater}, {type: pir, line: 17, room: a, hold: 1m}]}]}"))
	f.Add([]byte("buses: [{name: b, chips: [{type: counter, address: 0x20, device: hq/c1}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig("f", data)
		if err != nil {
			return
		}
		if _, err := New(c, nil, nil); err != nil {
			t.Errorf("an accepted configuration makes no board: %v", err)
		}
	})
}
