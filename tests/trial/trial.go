// Package trial runs what a test program does to real processes, scenario by
// scenario, and says what came of each: options, the choice by name, what a
// machine must have for it, progress on standard error, a folder that stays if it
// failed, a table or JSON at the end. It knows neither what a scenario does nor
// what is right after it: a program's scenarios raise their processes, and judge
// by package account.
//
// A Program is data. It makes a Trial for each Scenario that was chosen and hands
// it to the scenario's function, whose error is why it failed; what the function
// counted on the way is in the Trial's Result.
package trial

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/account"
)

// Scenario is one kind of trouble.
type Scenario struct {
	Name     string
	Protects string // what must hold, in a sentence
	Needs    []Need
	Long     bool // not in the short form, unless it is named
	Run      func(ctx context.Context, t *Trial) error
}

// Verdict is how a scenario ended.
type Verdict string

// Verdicts of a scenario.
const (
	Passed  Verdict = "ok"
	Failed  Verdict = "FAILED"
	Skipped Verdict = "skipped"
)

// Result is what came of a scenario. Sampled to Remainder are readings, as package
// account counts them.
type Result struct {
	Scenario    string         `json:"scenario"`
	Rounds      int            `json:"rounds"`
	Sampled     int            `json:"sampled"`
	Lost        int            `json:"lost"`
	Duplicated  int            `json:"duplicated"`
	Gaps        int            `json:"gaps"`
	Uncommitted int            `json:"uncommitted"`
	Remainder   int            `json:"remainder"`
	Counts      map[string]int `json:"counts,omitempty"` // by the program's own columns
	Seconds     float64        `json:"seconds"`
	Verdict     Verdict        `json:"verdict"`
	// Why it failed or was skipped; of one that went well what else was counted.
	Notes []string `json:"notes,omitempty"`
}

// shown is how many of the things that are wrong a result names.
const shown = 5

// Trial is one run of a scenario. Its methods are of one goroutine, but Say.
type Trial struct {
	Scenario
	Options
	Dir    string     // of its own, which exists; it stays if the scenario failed
	Rand   *rand.Rand // the same seed draws the same, whatever else runs
	Result Result

	tell func(scenario, format string, args ...any)
	ends []func() error
}

// Dice are drawn from a seed, for something of a name.
func Dice(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// Say tells a person what goes on.
func (t *Trial) Say(format string, args ...any) { t.tell(t.Name, format, args...) }

// Note adds a line to the result.
func (t *Trial) Note(format string, args ...any) {
	t.Result.Notes = append(t.Result.Notes, fmt.Sprintf(format, args...))
}

// Rounds is how many, all or in the short form.
func (t *Trial) Rounds(all, short int) int {
	t.Result.Rounds = all
	if t.Short {
		t.Result.Rounds = short
	}
	return t.Result.Rounds
}

// Between draws a time.
func (t *Trial) Between(least, most time.Duration) time.Duration {
	return least + time.Duration(t.Rand.Int64N(int64(most-least)+1))
}

// AtEnd has something undone when the scenario has ended, however it ended; what
// was registered last is undone first.
func (t *Trial) AtEnd(end func() error) { t.ends = append(t.ends, end) }

// Take takes the readings' counts into the result.
func (t *Trial) Take(e account.Evidence) {
	r := &t.Result
	r.Sampled, r.Lost, r.Duplicated = e.Report.Sampled, e.Report.Lost, e.Report.Duplicated
	r.Gaps, r.Uncommitted, r.Remainder = e.Report.Gaps, e.Report.Uncommitted, e.Report.Remainder
}

// Wrong is the error of what is wrong, and nil if nothing is.
func Wrong(wrong []string) error {
	if len(wrong) == 0 {
		return nil
	}
	if more := len(wrong) - shown; more > 0 {
		wrong = append(wrong[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(wrong, "\n  "))
}

// run runs the scenario and undoes what it left. What failed leaves its folder.
func (t *Trial) run(ctx context.Context) error {
	t.Say("%s", t.Protects)
	err := t.Run(ctx, t)
	for i := len(t.ends) - 1; i >= 0; i-- {
		err = errors.Join(err, t.ends[i]())
	}
	if err != nil || t.Keep {
		t.Note("logs and data are in %s", t.Dir)
		return err
	}
	return os.RemoveAll(t.Dir)
}
