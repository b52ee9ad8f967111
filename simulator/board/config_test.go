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
	for _, name := range slices.Sorted(maps.Keys(c.Rooms)) {
		r := c.Rooms[name]
		fmt.Fprintf(&s, "room %s %v +-%v %v %v%%\n", name, r.Temperature, r.Swing, r.Inertia, r.Humidity)
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
	return s.String()
}

func FuzzParseConfig(f *testing.F) {
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
