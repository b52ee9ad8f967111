package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func nothing(context.Context, *Trial) error { return nil }

// program has three scenarios, one of them long.
func program() Program {
	return Program{Name: "test", Parallel: 1, Columns: []string{"moved"}, Scenarios: []Scenario{
		{Name: "kill", Protects: "this", Run: nothing},
		{Name: "power", Protects: "that", Run: nothing},
		{Name: "weeks", Protects: "both", Long: true, Run: nothing},
	}}
}

// perform runs one scenario, with folders below one that is removed.
func perform(t *testing.T, s Scenario, o Options) (Result, string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	p := Program{Name: "test", Columns: []string{"moved"}, Scenarios: []Scenario{s}}
	o.Parallel, o.JSON = 1, true
	var out, said bytes.Buffer
	ok, err := p.Run(t.Context(), o, &out, &said)
	var printed struct{ Results []Result }
	if err := errors.Join(err, json.Unmarshal(out.Bytes(), &printed)); err != nil || len(printed.Results) != 1 {
		t.Fatal(err, out.String())
	}
	r := printed.Results[0]
	if ok != (r.Verdict != Failed) {
		t.Errorf("ok is %v of %s", ok, r.Verdict)
	}
	return r, said.String()
}

func TestScenariosAreChosenByName(t *testing.T) {
	for _, row := range []struct {
		o    Options
		want string
	}{
		{Options{}, "kill power weeks"},
		{Options{Short: true}, "kill power"},
		{Options{Short: true, Match: "^weeks$"}, "weeks"},
		{Options{Match: "kill|power"}, "kill power"},
	} {
		chosen, err := program().choose(row.o)
		var names []string
		for _, s := range chosen {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != row.want {
			t.Errorf("%+v: %q, %v, want %q", row.o, got, err, row.want)
		}
	}
	for _, bad := range []Options{{Match: "[", Parallel: 1}, {Match: "no-such", Parallel: 1}, {}} {
		if ok, err := program().Run(t.Context(), bad, io.Discard, io.Discard); ok || err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestWhatAMachineLacksIsSkippedWithAReason(t *testing.T) {
	tries := 0
	wings := Need{"wings", func() error { tries++; return errors.New("this is\na fish") }}
	never := Scenario{Name: "fly", Needs: []Need{wings, wings}, Run: func(context.Context, *Trial) error { t.Error("it was run"); return nil }}
	r, said := perform(t, never, Options{})
	if r.Verdict != Skipped || len(r.Notes) != 1 || r.Notes[0] != "needs wings: this is a fish" || !strings.Contains(said, "skipped") || tries != 1 {
		t.Errorf("%+v, said %q, tried %d times", r, said, tries)
	}
}

func TestOneSeedDrawsTheSameFaults(t *testing.T) {
	draw := func(seed uint64, name string) (n [4]uint64) {
		rng := Dice(seed, name)
		for i := range n {
			n[i] = rng.Uint64()
		}
		return n
	}
	first := draw(1, "kill")
	if again := draw(1, "kill"); first != again || draw(1, "kill") == draw(2, "kill") || draw(1, "kill") == draw(1, "loss") {
		t.Error("the dice of a scenario are not its seed's")
	}
}

// What was raised is ended whatever became of the scenario, the last first, and an
// end that fails is a failure.
func TestWhatAScenarioRaisedIsEnded(t *testing.T) {
	for _, row := range []struct {
		run, end error
		want     Verdict
	}{{nil, nil, Passed}, {errors.New("no"), nil, Failed}, {nil, errors.New("it stays"), Failed}} {
		var ended []int
		r, _ := perform(t, Scenario{Name: "raise", Run: func(_ context.Context, tr *Trial) error {
			tr.AtEnd(func() error { ended = append(ended, 1); return row.end })
			tr.AtEnd(func() error { ended = append(ended, 2); return nil })
			return row.run
		}}, Options{})
		if r.Verdict != row.want || !slices.Equal(ended, []int{2, 1}) {
			t.Errorf("%v: %+v, ended %d", row, r, ended)
		}
	}
}

func TestWhatFailedLeavesItsFolder(t *testing.T) {
	for keep, run := range map[bool]func(context.Context, *Trial) error{
		true:  nothing,
		false: func(context.Context, *Trial) error { return errors.New("no") },
	} {
		r, _ := perform(t, Scenario{Name: "keep", Run: run}, Options{Keep: keep})
		if _, err := os.Stat(strings.TrimPrefix(r.Notes[0], "logs and data are in ")); err != nil {
			t.Error(err)
		}
	}
	var dir string
	r, _ := perform(t, Scenario{Name: "go", Run: func(_ context.Context, tr *Trial) error {
		dir = tr.Dir
		return os.WriteFile(filepath.Join(dir, "a"), nil, 0o600)
	}}, Options{})
	if _, err := os.Stat(dir); !os.IsNotExist(err) || r.Verdict != Passed {
		t.Errorf("%+v, its folder: %v", r, err)
	}
}

func TestTheTableSaysWhatCameOfEach(t *testing.T) {
	var table bytes.Buffer
	results := []Result{
		{Scenario: "kill", Rounds: 4, Sampled: 100, Counts: map[string]int{"moved": 77}, Verdict: Passed},
		{Scenario: "power", Verdict: Failed, Notes: []string{"logs and data are in /there"}},
	}
	if err := program().printTable(&table, 7, results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"moved", "77", "FAILED", "power: logs and data are in /there", "seed 7"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is not in\n%s", want, table.String())
		}
	}
}

func TestAFewOfManyFaultsAreNamed(t *testing.T) {
	if Wrong(nil) != nil {
		t.Error("nothing is wrong, and it is an error")
	}
	err := Wrong(slices.Repeat([]string{"this"}, 9))
	if err == nil || strings.Count(err.Error(), "this") != shown || !strings.Contains(err.Error(), "and 4 more") {
		t.Error(err)
	}
}

func TestAScenarioThatSaysNothingIsFound(t *testing.T) {
	p := program()
	readme := []byte("| `kill` | `power` |\n| `weeks` |")
	if wrong := p.Check(readme); len(wrong) > 0 {
		t.Error(wrong)
	}
	p.Scenarios = append(p.Scenarios, Scenario{Name: "kill", Protects: "again", Run: nothing}, Scenario{Name: "weeks "}, Scenario{Name: "other", Protects: "x", Run: nothing})
	if wrong := p.Check(readme); len(wrong) != 3 {
		t.Error(wrong)
	}
}
