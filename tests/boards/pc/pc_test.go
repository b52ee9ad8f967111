package main

import (
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/simulator/board"
)

func TestThePCsConfigurationsAreOnesThatItsProgramsTake(t *testing.T) {
	for _, g := range gateways() {
		b, err := board.ParseConfig("board.yaml", []byte(g.boardYAML()))
		if err != nil || len(b.Buses) != 1 || len(b.Buses[0].Chips) != counters {
			t.Errorf("%s: board %+v, %v", g.site, b, err)
		}
		c, err := agent.ParseConfig("edge.yaml", []byte(g.edgeYAML("10.0.2.2:7443")))
		if err != nil {
			t.Fatal(err)
		}
		if c.Gateway.String() != g.name() || c.Buffer.Mode.String() != g.site || len(c.Devices) != counters {
			t.Errorf("%s: configuration %+v", g.site, c)
		}
	}
}

func TestAReadingOfAnotherTimeIsWrongUnlessItIsMarked(t *testing.T) {
	now := time.Now()
	ts := &times{from: now.Add(-slack), to: now.Add(slack)}
	for _, r := range []client.Reading{
		{Time: now, Clock: "welcome"},
		{Time: now.Add(step), Clock: "estimated"},
		{Time: now.Add(step), Clock: "welcome"},
		{Time: now.AddDate(-50, 0, 0), Clock: "system"},
	} {
		ts.add("always/c1", r)
	}
	if ts.right != 1 || ts.marked != 1 || len(ts.wrong) != 2 || !strings.Contains(ts.wrong[1], "system") {
		t.Errorf("times %+v", ts)
	}
}
