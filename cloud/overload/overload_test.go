package overload

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// healthy is a node that has nothing to complain of.
var healthy = Measured{Disk: 0.5, Memory: 0.5}

func TestATriggerLastsUntilItIsClearlyOver(t *testing.T) {
	s := New()
	for i, c := range []struct {
		m       Measured
		do      Action
		because string
	}{
		{healthy, 0, ""},
		{Measured{Disk: 0.031, Memory: 0.051, Delay: 5 * time.Second}, 0, ""}, // just not
		{Measured{Disk: 0.029, Memory: 0.5}, Slow | Later, "disk"},
		{Measured{Disk: 0.05, Memory: 0.5}, Slow | Later, "disk"},
		{Measured{Disk: 0.05, Memory: 0.04}, Slow | Later, "disk memory"},
		{Measured{Disk: 0.07, Memory: 0.07}, Slow | Later, "memory"},
		{Measured{Disk: 0.05, Memory: 0.09}, 0, ""}, // the disk begins anew
		{Measured{Disk: 0.5, Memory: 0.5, Delay: 6 * time.Second}, Slow, "delay"},
		{Measured{Disk: 0.5, Memory: 0.5, Delay: time.Second}, Slow, "delay"},
		{healthy, 0, ""},
	} {
		do, because := s.Step(c.m)
		if do != c.do || strings.Join(because, " ") != c.because {
			t.Errorf("step %d, %+v: %b because of %q, want %b because of %q", i, c.m, do, because, c.do, c.because)
		}
	}
}

// No measurement makes a trigger swing: once it was there it goes only by a
// measurement that is far from where it begins.
func TestNothingSwings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New()
		was := make(map[string]bool)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			m := Measured{
				Disk: rapid.Float64Range(0, 0.1).Draw(t, "disk"), Memory: rapid.Float64Range(0, 0.1).Draw(t, "memory"),
				Delay: time.Duration(rapid.Int64Range(0, int64(8*time.Second)).Draw(t, "delay")),
			}
			_, because := s.Step(m)
			for name, between := range map[string]bool{
				"disk":   m.Disk >= diskLow && m.Disk <= diskEnough,
				"memory": m.Memory >= memoryLow && m.Memory <= memoryEnough,
				"delay":  m.Delay <= delayLong && m.Delay >= delayShort,
			} {
				is := slices.Contains(because, name)
				if between && is != was[name] {
					t.Fatalf("%s changed to %v at %+v", name, is, m)
				}
				was[name] = is
			}
		}
	})
}

// docs/overload.md has the table as the code has it.
func TestThePageHasTheTable(t *testing.T) {
	b, err := os.ReadFile("../../docs/overload.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, tr := range Table() {
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", tr.Name, tr.On, tr.Off, strings.Join(tr.Actions.Words(), "; "))
		if !strings.Contains(string(b), row+"\n") {
			t.Errorf("docs/overload.md lacks\n%s", row)
		}
		rows++
	}
	if n := strings.Count(string(b), "\n| `"); n != rows {
		t.Errorf("docs/overload.md has %d triggers, the code %d", n, rows)
	}
}
