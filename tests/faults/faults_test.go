package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/trial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a scenario says of a real line is found by the checker: a reading that a
// board delivered and that is nowhere, and a cost that was not expected.
func TestAScenarioOnARealLineFailsWhenAReadingIsMissing(t *testing.T) { // I1
	dir, err := os.MkdirTemp("", "") // of what failed; a test's own is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	bin, err := line.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var sabotage func(s *line.Site) error
	sc := scenario{name: "sabotage", run: onOne(func(ctx context.Context, _ *rig, s *line.Site) error {
		if err := s.Delivered(ctx, 40); err != nil {
			return err
		}
		return sabotage(s)
	})}
	perform := func() trial.Result {
		var out bytes.Buffer
		p := trial.Program{Name: "faults", Scenarios: []trial.Scenario{sc.trial()}}
		if _, err := p.Run(t.Context(), trial.Options{Bin: bin, Short: true, Seed: 1, Parallel: 1, JSON: true}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		var all struct{ Results []trial.Result }
		if err := json.Unmarshal(out.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		return all.Results[0]
	}
	sabotage = func(*line.Site) error { return nil }
	if r := perform(); r.Verdict != trial.Passed || r.Sampled < 40 || r.Lost != 0 {
		t.Errorf("undisturbed: %+v", r)
	}
	// A line at the end that no gateway sent.
	sabotage = func(s *line.Site) error {
		f, err := os.OpenFile(s.Truth, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(f, `{"device":"hq/c1","n":1000000}`)
		return errors.Join(err, f.Close())
	}
	sc.name = "sabotaged-truth"
	if r := perform(); r.Verdict != trial.Failed || r.Lost != 1 || !strings.Contains(strings.Join(r.Notes, "\n"), "lost hq/c1: number 1000000") {
		t.Errorf("a reading that never arrived: %+v", r)
	}
	// A crash where none may be.
	sabotage = func(s *line.Site) error { return errors.Join(s.Gateway.Kill(), s.Gateway.Start(t.Context())) }
	sc.name = "sabotaged-gateway"
	if r := perform(); r.Verdict != trial.Failed || !strings.Contains(strings.Join(r.Notes, "\n"), "this fault has no such cost") {
		t.Errorf("a crash: %+v", r)
	}
}

func TestEveryScenarioSaysWhatItProtects(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range program().Check(readme) {
		t.Error(wrong)
	}
}
