package main

import (
	"context"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

// scenario is one kind of trouble with nodes.
type scenario struct {
	name     string
	protects string // what must hold, in a sentence
	workers  int    // beside the three core nodes, at the beginning
	beside   int    // shards that placement may move meanwhile for other reasons
	long     bool   // not in the short form
	run      func(ctx context.Context, t *trial) error
}

// scenarios are all of them, in the order in which they are run.
func scenarios() []scenario {
	return []scenario{
		{
			name:     "kill",
			protects: "a node that is killed at any moment costs no reading, and only its shards move",
			workers:  1,
			run:      kill,
		},
		{
			name:     "stall",
			protects: "a node that stands still until others have its shards, and goes on, does no harm",
			workers:  1,
			long:     true,
			run:      stall,
		},
		{
			name:     "drain",
			protects: "a node that is stopped gives its shards away before it ends",
			workers:  1,
			beside:   placement.MaxMoves, // until it is gone, no node has come or gone
			run:      drain,
		},
		{
			name:     "wipe",
			protects: "a worker that lost its disk costs nothing",
			workers:  2,
			long:     true,
			run:      wipe,
		},
		{
			name:     "grow",
			protects: "nodes that join take shards, and give them back when they leave",
			run:      grow,
		},
	}
}

// verdicts of a scenario.
const (
	passed = "ok"
	failed = "FAILED"
)

// result is what came of a scenario. Sampled, lost, duplicated and in gaps are
// readings.
type result struct {
	Scenario   string   `json:"scenario"`
	Rounds     int      `json:"rounds"`
	Sampled    int      `json:"sampled"`
	Lost       int      `json:"lost"`
	Duplicated int      `json:"duplicated"`
	Gaps       int      `json:"gaps"`
	Moved      int      `json:"moved"`  // shards that got another owner, or the same one again
	Claims     int      `json:"claims"` // of shards, as far as the logs still hold their barriers
	Seconds    float64  `json:"seconds"`
	Verdict    string   `json:"verdict"`
	Notes      []string `json:"notes,omitempty"` // why it failed; of one that went well what was measured
}

// perform runs one scenario to its verdict.
func perform(ctx context.Context, s scenario, o options, say func(scenario, format string, args ...any)) result {
	begin := time.Now()
	say(s.name, "%s", s.protects)
	r := result{Scenario: s.name}
	t, err := newTrial(s, o, say)
	if err == nil {
		err = t.perform(ctx)
		r = t.result
	}
	r.Seconds, r.Verdict = time.Since(begin).Seconds(), passed
	if err != nil {
		r.Verdict = failed
		r.Notes = append(r.Notes, err.Error())
	}
	say(s.name, "%s", strings.TrimSpace(r.Verdict+" "+strings.Join(r.Notes, "; ")))
	return r
}
