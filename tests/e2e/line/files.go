package line

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Addresses that the chips of a board are given, first to last.
const (
	firstCounter = 0x20 // up to 8
	firstTMP102  = 0x48 // up to 4, then the next bus
	firstBME280  = 0x76 // up to 2, then the next bus
	maxCounters  = 8
	firstRelay   = 16 // a line of the GPIO chip, up to 8
	maxRelays    = 8
	tmpPerBus    = 4
	bmePerBus    = 2
)

// sensor returns where the i-th sensor sits.
func (g Gateway) sensor(i int) (kind string, bus, address int) {
	k := i / 2
	if g.Climate {
		k = i
	} else if i%2 == 0 {
		return "tmp102", 1 + k/tmpPerBus, firstTMP102 + k%tmpPerBus
	}
	return "bme280", 1 + k/bmePerBus, firstBME280 + k%bmePerBus
}

// Name is the gateway's whole name.
func (g Gateway) Name() string { return g.Site + "/gw-1" }

// BoardYAML is the configuration of the gateway's simulated board.
func (g Gateway) BoardYAML() string {
	chips := map[int][]string{}
	for i := range min(g.Counters, maxCounters) {
		chips[1] = append(chips[1], fmt.Sprintf("{type: counter, address: %#x, device: %s/c%d}", firstCounter+i, g.Site, g.First+i+1))
	}
	for i := range g.Sensors {
		kind, bus, address := g.sensor(i)
		chips[bus] = append(chips[bus], fmt.Sprintf("{type: %s, address: %#x, room: lobby}", kind, address))
	}
	var b strings.Builder
	b.WriteString("seed: 1\nrooms:\n  lobby: {}\nbuses:\n")
	for bus := 1; bus <= len(chips); bus++ {
		fmt.Fprintf(&b, "  - name: sim-i2c-%d\n    chips:\n", bus)
		for _, c := range chips[bus] {
			fmt.Fprintf(&b, "      - %s\n", c)
		}
	}
	if g.Relays > 0 {
		b.WriteString("gpio:\n  - name: sim-gpio-0\n    lines:\n")
		for i := range min(g.Relays, maxRelays) {
			fmt.Fprintf(&b, "      - {type: relay, line: %d}\n", firstRelay+i)
		}
	}
	return b.String()
}

// Place is where a gateway's agent has its things.
type Place struct {
	State, Identity string   // folders
	Board           string   // the simulated board's socket
	Cloud           []string // addresses of gates
	HTTP            string   // the agent's own
}

// EdgeYAML is the agent's configuration.
func (g Gateway) EdgeYAML(at Place) string {
	var b strings.Builder
	fmt.Fprintf(&b, `gateway: %s
state: %s
http: %s
cloud: [%s]
identity: %s
buffer: {mode: %s%s}
%s
`, g.Name(), at.State, at.HTTP, quoted(at.Cloud), at.Identity, g.Mode, g.Buffer, g.Keys)
	var devices []string
	buses := 1
	for i := range min(g.Counters, maxCounters) {
		devices = append(devices, fmt.Sprintf("{name: c%d, profile: atrium.counter, bus: i2c-1, address: %#x, every: 50ms}", g.First+i+1, firstCounter+i))
	}
	for i := range g.Sensors {
		kind, bus, address := g.sensor(i)
		profile := map[string]string{"tmp102": "ti.tmp102", "bme280": "bosch.bme280"}[kind]
		deadband := ""
		if g.Climate {
			deadband = ", deadband: {temperature: 0, pressure: 0, humidity: 0}"
		}
		devices = append(devices, fmt.Sprintf("{name: s%d, profile: %s, bus: i2c-%d, address: %#x, every: 1s%s}", i+1, profile, bus, address, deadband))
		buses = max(buses, bus)
	}
	b.WriteString("buses:\n")
	for bus := 1; bus <= buses; bus++ {
		fmt.Fprintf(&b, "  - {name: i2c-%d, board: %s, board-bus: sim-i2c-%d}\n", bus, at.Board, bus)
	}
	if g.Relays > 0 {
		fmt.Fprintf(&b, "  - {name: lines, type: gpio, board: %s, board-bus: sim-gpio-0}\n", at.Board)
		for i := range min(g.Relays, maxRelays) {
			devices = append(devices, fmt.Sprintf("{name: r%d, profile: generic.relay, bus: lines, lines: {out: %d}, every: 1s}", i+1, firstRelay+i))
		}
	}
	b.WriteString("devices:\n")
	for _, d := range devices {
		fmt.Fprintf(&b, "  - %s\n", d)
	}
	return b.String()
}

// quoted is the inside of a YAML list.
func quoted(items []string) string { return `"` + strings.Join(items, `", "`) + `"` }

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
