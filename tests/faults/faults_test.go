package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/e2e/line"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *progress { return &progress{w: io.Discard, begin: time.Now()} }

// What a scenario says of a real line is found by the checker: a reading that a
// board delivered and that is nowhere, and a cost that was not expected.
func TestAScenarioOnARealLineFailsWhenAReadingIsMissing(t *testing.T) { // I1
	bin, err := line.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := options{bin: bin, short: true, seed: 1}
	var sabotage func(s *line.Site) error
	sc := scenario{name: "sabotage", run: onOne(func(ctx context.Context, _ *trial, s *line.Site) error {
		if err := s.Delivered(ctx, 40); err != nil {
			return err
		}
		return sabotage(s)
	})}
	perform := func() result {
		r := perform(t.Context(), sc, o, nil, quiet())
		for _, note := range r.Notes {
			if dir, ok := strings.CutPrefix(note, "logs and data are in "); ok {
				t.Cleanup(func() { os.RemoveAll(dir) })
			}
		}
		return r
	}
	sabotage = func(*line.Site) error { return nil }
	if r := perform(); r.Verdict != passed || r.Sampled < 40 || r.Lost != 0 {
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
	if r := perform(); r.Verdict != failed || r.Lost != 1 || !strings.Contains(strings.Join(r.Notes, "\n"), "lost hq/c1: number 1000000") {
		t.Errorf("a reading that never arrived: %+v", r)
	}
	// A crash where none may be.
	sabotage = func(s *line.Site) error { return errors.Join(s.Gateway.Kill(), s.Gateway.Start(t.Context())) }
	sc.name = "sabotaged-gateway"
	if r := perform(); r.Verdict != failed || !strings.Contains(strings.Join(r.Notes, "\n"), "this fault has no such cost") {
		t.Errorf("a crash: %+v", r)
	}
}

func TestScenariosAreChosenByName(t *testing.T) {
	got, err := choose(scenarios(), "^kill$|loss")
	if err != nil || len(got) != 2 || got[0].name != "kill" || got[1].name != "loss" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"[", "no-such"} {
		if _, err := choose(scenarios(), bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestEveryScenarioSaysWhatItProtects(t *testing.T) {
	seen := map[string]bool{}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios() {
		if seen[s.name] || s.protects == "" || s.run == nil {
			t.Errorf("%+v", s)
		}
		seen[s.name] = true
		if !bytes.Contains(readme, []byte("`"+s.name+"`")) {
			t.Errorf("README.md says nothing of %s", s.name)
		}
	}
}

func TestWhatAMachineLacksIsSkippedWithAReason(t *testing.T) {
	var said bytes.Buffer
	never := scenario{name: "never", needs: []need{loops}, run: func(context.Context, *trial) error { t.Error("it was run"); return nil }}
	r := perform(t.Context(), never, options{}, map[need]string{loops: "mounting needs root"}, &progress{w: &said, begin: time.Now()})
	if r.Verdict != skipped || len(r.Notes) != 1 || r.Notes[0] != "needs loop devices: mounting needs root" || !strings.Contains(said.String(), "skipped") {
		t.Errorf("%+v, said %q", r, said.String())
	}
	var table bytes.Buffer
	if err := printTable(&table, 7, []result{r}); err != nil || !strings.Contains(table.String(), "skipped") || !strings.Contains(table.String(), "mounting needs root") {
		t.Errorf("%v\n%s", err, table.String())
	}
}

func TestOneSeedDrawsTheSameFaults(t *testing.T) {
	draw := func(seed uint64, name string) (n [4]uint64) {
		rng := dice(seed, name)
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

// A byte is changed and no other, in a place that holds something if any does.
func TestFlipChangesOneByte(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	before := make([]byte, 1000)
	before[123] = 7
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
	all := func(string) bool { return true }
	said, err := flip(dir, dice(1, "flip"), all)
	if err != nil || !strings.HasPrefix(said, "byte 123 of a from 0x07 to 0x") {
		t.Fatalf("%q, %v", said, err)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if after[123] == 7 {
		t.Error("nothing was changed")
	}
	after[123] = 7
	if !bytes.Equal(before, after) {
		t.Error("more than one byte was changed")
	}
	if _, err := flip(t.TempDir(), dice(1, "flip"), all); err == nil {
		t.Error("an empty folder holds a byte")
	}
}

// A disk that loses its power has what was synced and not what was not.
func TestAPowerCutLosesWhatWasNotSynced(t *testing.T) {
	if why, lacking := survey()[loops]; lacking {
		t.Skip(why)
	}
	dir := t.TempDir()
	d, err := newDisk(dir, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.unmount(); err != nil {
			t.Error(err)
		}
	}()
	write := func(name string, sync bool) {
		f, err := os.Create(filepath.Join(d.folder, name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString("here")
		if sync {
			err = errors.Join(err, f.Sync())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("synced", true)
	write("in-memory", false)
	if err := d.cut(filepath.Join(dir, "copied.img"), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(d.folder, "synced")); err != nil || string(b) != "here" {
		t.Errorf("what was synced: %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(d.folder, "in-memory")); err == nil && len(b) > 0 {
		t.Errorf("what was not synced: %q", b)
	}
	if err := d.fill(1 << 20); err != nil {
		t.Fatal(err)
	}
	full, err := d.free()
	if err != nil || full > 1<<20 {
		t.Errorf("%d bytes are free, %v", full, err)
	}
	if err := d.release(); err != nil {
		t.Fatal(err)
	}
	if free, err := d.free(); err != nil || free <= full {
		t.Errorf("%d bytes are free, %v", free, err)
	}
}
