package main

import (
	"fmt"
	"path"
	"strings"
)

// gateway is one of the PC's two, each with its own site, board and mode.
type gateway struct {
	site string // also its mode
	port int    // of its HTTP server in the PC
}

func gateways() []gateway { return []gateway{{"always", 7001}, {"spill", 7002}} }

// counters of each gateway; at ten a second an emulated processor keeps up with
// both.
const (
	counters     = 4
	firstCounter = 0x20
	every        = "100ms"
)

func (g gateway) name() string         { return g.site + "/gw-1" }
func (g gateway) folder() string       { return "/etc/atrium/" + g.site }
func (g gateway) socket() string       { return "/tmp/" + g.site + ".sock" }
func (g gateway) truth() string        { return g.site + ".jsonl" } // in the shared folder
func (g gateway) file(n string) string { return path.Join(g.folder(), n) }

func (g gateway) boardYAML() string {
	var b strings.Builder
	b.WriteString("buses:\n  - name: sim-i2c-1\n    chips:\n")
	for i := range counters {
		fmt.Fprintf(&b, "      - {type: counter, address: %#x, device: %s/c%d}\n", firstCounter+i, g.site, i+1)
	}
	return b.String()
}

// edgeYAML is the agent's configuration. It dials again soon, and its stop
// leaves it time to drain on a slow processor.
func (g gateway) edgeYAML(gate string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `gateway: %s
state: %s
identity: %s
cloud: ["%s"]
http: "0.0.0.0:%d"
reconnect: 2s
drain: 60s
buffer: {mode: %s}
buses:
  - {name: i2c-1, board: %s, board-bus: sim-i2c-1}
devices:
`, g.name(), path.Join("/var/lib/atrium", g.site), g.file("identity"), gate, g.port, g.site, g.socket())
	for i := range counters {
		fmt.Fprintf(&b, "  - {name: c%d, profile: atrium.counter, bus: i2c-1, address: %#x, every: %s}\n", i+1, firstCounter+i, every)
	}
	return b.String()
}
