package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/tests/sim"
)

// mustBeRight runs a plan that nobody sabotaged.
func mustBeRight(t *testing.T, plan sim.Plan) sim.Outcome {
	t.Helper()
	out := run(t, plan, sim.Sabotage{})
	if len(out.Complaints) > 0 {
		t.Fatalf("%s\n%s", strings.Join(out.Complaints, "\n"), strings.Join(out.Trace(lastLines), "\n"))
	}
	return out
}

// A command waits for its gateway when its owner's power is cut: the next one
// finds it in the log and sends it once it is in charge.
func TestAnOwnerSendsNothingWhileItRecovers(t *testing.T) { // I7
	plan := told(sim.Stamp, sim.Event{At: 3 * time.Second, Kind: sim.Blackout, For: 4 * time.Second}, sim.Event{At: 5 * time.Second, Kind: sim.CloudCrash})
	plan.Events[1].For, plan.Cloud.SnapshotEvery = 20*time.Second, time.Minute
	if out := mustBeRight(t, plan); out.Tally.Nodes != 2 || out.Tally.Done != 1 {
		t.Fatalf("%+v", out.Tally)
	}
}

// Power is cut when the ledger is asked to keep that a stamp is pressed.
func TestNothingIsTouchedBeforeTheLedgerSaysSo(t *testing.T) {
	out := mustBeRight(t, told(sim.Stamp, sim.Event{At: 3 * time.Second, Kind: sim.CommandCrash, N: 0}))
	if out.Tally.Agents != 2 || out.Tally.Done != 1 {
		t.Fatalf("%+v", out.Tally)
	}
}

// The link is cut while a stamp is pressed, until the command does not come
// again: its result waits.
func TestAResultStaysUntilItIsSettled(t *testing.T) {
	plan := told(sim.Stamp, sim.Event{At: 4400 * time.Millisecond, Kind: sim.CloudCrash, For: 3 * time.Second})
	plan.Events[0].For = time.Second
	if out := mustBeRight(t, plan); out.Tally.Done != 1 {
		t.Fatalf("%+v", out.Tally)
	}
}

func TestADocumentThatIsDeletedGoesFromItsSite(t *testing.T) {
	mustBeRight(t, documented(sim.Event{At: 4 * time.Second, Kind: sim.Write, N: 2, After: true}))
}

// The link is cut for longer than windows wait.
func TestWindowsHoldEachRowOnce(t *testing.T) { // I1
	plan := documented(sim.Event{At: 3 * time.Second, Kind: sim.Blackout, For: 9 * time.Second})
	plan.Length = 14 * time.Second
	if out := mustBeRight(t, plan); out.Tally.LateParts == 0 {
		t.Fatalf("%+v", out.Tally)
	}
}
