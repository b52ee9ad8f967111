package main

import (
	"context"
	"strings"
	"time"
)

// scenario is one kind of trouble with nodes.
type scenario struct {
	name     string
	protects string // what must hold, in a sentence
	workers  int    // beside the three core nodes, at the beginning
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
