package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// missionRow is one of the mission's own benchmarks. What the mission asks for
// is for a line with journal and disk; in memory the aim is a hundred times
// its throughput, a tenth of its latency, a thousandth of its memory.
type missionRow struct {
	title   string
	program string
	perS    float64 // the mission's messages a second
	millis  float64 // and latency
	megas   float64 // and memory for an actor
}

const (
	timesThroughput = 100
	partOfLatency   = 10
	partOfMemory    = 1000
)

func missionRows() []missionRow {
	return []missionRow{
		{"device state update", "atrium/mission-update", 10_000, 5, 0.5},
		{"device command", "atrium/mission-command", 5_000, 10, 0.5},
		{"room broadcast, 20 devices", "atrium/mission-room", 2_000, 15, 1.0},
		{"twin state sync", "atrium/mission-twin", 8_000, 7, 0.7},
		{"pipeline of three", "atrium/mission-pipeline", 3_000, 20, 1.5},
		{title: "twins as flat structs", program: "shard/twin"},
	}
}

func (m missionRow) workload() string {
	_, workload, _ := strings.Cut(m.program, "/")
	return workload
}

// verdict compares messages a second, microseconds and bytes with the aims.
func (m missionRow) verdict(perS, p99, bytes float64) string {
	if m.perS == 0 {
		return ""
	}
	var missed []string
	if !(perS >= m.perS*timesThroughput) {
		missed = append(missed, "throughput")
	}
	if !(p99 <= m.millis*1e3/partOfLatency) {
		missed = append(missed, "latency")
	}
	if !(bytes <= m.megas*1e6/partOfMemory) {
		missed = append(missed, "memory")
	}
	if len(missed) == 0 {
		return "met"
	}
	return "MISSED: " + strings.Join(missed, ", ")
}

func (r *report) printMission(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "\nthe mission, in memory\tM/s\taim\tp50 us\tp99 us\taim\tB/actor\taim\taims\n"
	for _, m := range missionRows() {
		if len(r.Figures[m.program]) == 0 {
			continue
		}
		fmt.Fprint(t, head)
		head = ""
		perS, p50 := r.median(m.program, load.PerSecond), r.median(m.program, load.P50)
		p99, bytes := r.median(m.program, load.P99), r.median(m.program, load.HeapBytes)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.title,
			number(perS/million), aim(m.perS*timesThroughput/million), number(p50), number(p99), aim(m.millis*1e3/partOfLatency),
			number(bytes), aim(m.megas*1e6/partOfMemory), m.verdict(perS, p99, bytes))
	}
	return t.Flush()
}

// aim prints nothing where there is none.
func aim(v float64) string {
	if v == 0 {
		return number(math.NaN())
	}
	return number(v)
}
