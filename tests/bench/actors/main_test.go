package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// TestMain lets the test program be the children that it starts, as the
// command does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		os.Exit(load.Main(os.Args[2:], programs(), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestBadFlagsNameWhatIsWanted(t *testing.T) {
	for says, args := range map[string][]string{
		"-runs 0: want at least 1":               {"-runs", "0"},
		"-only tell-7: want some of tell-1,":     {"-only", "ask-1,tell-7"},
		"fast: want flags only":                  {"fast"},
		"-profile /no/such/folder: no such file": {"-profile", "/no/such/folder"},
	} {
		var out bytes.Buffer
		err := run(t.Context(), args, &out)
		if err == nil || !strings.Contains(err.Error(), says) || out.Len() > 0 {
			t.Errorf("%v: got %v and %d bytes of output", args, err, out.Len())
		}
	}
}

func TestARunMeasuresEachRuntimeInAProcessOfItsOwn(t *testing.T) {
	var out bytes.Buffer
	profiles := t.TempDir()
	if err := run(t.Context(), []string{"-short", "-proto=false", "-only", "refuse,mission-update", "-json", "-profile", profiles}, &out); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]int{
		"atrium/refuse": 1, "swap/refuse": 1, "chan/refuse": 1, "atrium/mission-update": 1,
		"mpsc/refuse": 0, // its mailboxes have no bound
	} {
		if got := len(r.Figures[program]); got != want {
			t.Errorf("%s was measured %d times, want %d", program, got, want)
		}
	}
	if got, err := filepath.Glob(profiles + "/*.prof"); err != nil || len(got) != 2 {
		t.Errorf("profiles: %v, %v", got, err)
	}
	var tables bytes.Buffer
	if err := r.print(&tables); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"refusal", "device state update"} {
		if !strings.Contains(tables.String(), want) {
			t.Errorf("no row for %q in\n%s", want, &tables)
		}
	}
	if strings.Contains(tables.String(), "pipeline") {
		t.Errorf("a row that was not measured is in\n%s", &tables)
	}
}

func TestTheMedianIsOfTheRunsThatHaveTheFigure(t *testing.T) {
	r := report{Figures: map[string][]load.Figures{"swap/ask-1": {
		{load.P99: 5}, {load.P99: 1}, {load.P50: 9}, {load.P99: 3},
	}}}
	if got := r.median("swap/ask-1", load.P99); got != 3 {
		t.Errorf("of three: got %g, want 3", got)
	}
	r.Figures["swap/ask-1"] = r.Figures["swap/ask-1"][:2]
	if got := r.median("swap/ask-1", load.P99); got != 3 {
		t.Errorf("of two: got %g, want 3", got)
	}
}
