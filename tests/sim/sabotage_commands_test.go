package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/tests/sim"
)

// told is a calm line with a command to a device.
func told(which sim.Which, more ...sim.Event) sim.Plan {
	return calm(append(more, sim.Event{At: 4 * time.Second, Kind: sim.Order, N: int(which), Number: 5, For: 5 * time.Second})...)
}

// documented is a calm line with a room and all pipelines.
func documented(more ...sim.Event) sim.Plan {
	var events []sim.Event
	for n := range 6 {
		events = append(events, sim.Event{At: time.Second, Kind: sim.Write, N: n, Number: n})
	}
	return calm(append(events, more...)...)
}

func TestACalmLineObeysAndHasItsDocuments(t *testing.T) {
	plan := documented(told(sim.Stamp).Events...)
	out := run(t, plan, sim.Sabotage{})
	if c := out.Tally; len(out.Complaints) > 0 || c.Done != 1 || c.Windows == 0 || c.Alarms == 0 {
		t.Fatalf("%+v\n%s\n%s", c, strings.Join(out.Complaints, "\n"), strings.Join(out.Trace(lastLines), "\n"))
	}
}

func TestACommandThatIsExecutedTwiceIsNoticed(t *testing.T) {
	plan := told(sim.Stamp, sim.Event{At: 3 * time.Second, Kind: sim.CommandCrash, N: 3})
	mustComplain(t, plan, sim.Sabotage{Forgets: true}, "commands", "it is not idempotent")
}

func TestACommandThatIsDoneAndWasNotIsNoticed(t *testing.T) {
	mustComplain(t, told(sim.Dial), sim.Sabotage{Numb: true}, "commands", "never did it")
	mustComplain(t, told(sim.Relay), sim.Sabotage{Numb: true}, "I4", "its line is high: false")
}

func TestACommandThatIsSentBeforeItsOutboxRecordIsNoticed(t *testing.T) { // I3
	mustComplain(t, told(sim.Dial), sim.Sabotage{Eager: true}, "I3", "before its outbox record")
}

func TestACommandThatItsGatewayHasForgottenIsNoticed(t *testing.T) {
	mustComplain(t, told(sim.Dial), sim.Sabotage{Amnesia: true}, "commands", "knows nothing of it")
}

func TestADocumentThatIsNotInForceIsNoticed(t *testing.T) {
	lacking := sim.Sabotage{Catalog: func(all []journal.Document) []journal.Document { return all[:max(0, len(all)-1)] }}
	mustComplain(t, documented(), lacking, "documents", "in revision 0")
}

// A room that is gone from the catalog and stays in force.
func TestADocumentThatStaysIsNoticed(t *testing.T) {
	seen := map[string]journal.Document{}
	keeping := sim.Sabotage{Catalog: func(all []journal.Document) []journal.Document {
		for _, d := range all {
			seen[d.Kind+d.Name] = d
		}
		all = nil
		for _, d := range seen {
			all = append(all, d)
		}
		return all
	}}
	mustComplain(t, documented(sim.Event{At: 4 * time.Second, Kind: sim.Write, N: 0, After: true}), keeping, "documents", "the catalog has not")
}

// windowOnce changes the first part of a window that has several rows.
func windowOnce(f func(*history.Projections)) sim.Sabotage {
	done := false
	return sim.Sabotage{History: func(p *history.Projections) {
		if !done && len(p.Windows) > 0 && p.Windows[0].Part.Count > 1 {
			done = true
			f(p)
		}
	}}
}

func TestAWindowThatLacksItsRowsIsNoticed(t *testing.T) {
	mustComplain(t, documented(), windowOnce(func(p *history.Projections) { p.Windows = p.Windows[1:] }), "windows", "its rows give")
}

func TestAPartThatCountsTwiceIsNoticed(t *testing.T) {
	mustComplain(t, documented(), windowOnce(func(p *history.Projections) {
		again := p.Windows[0]
		again.Seq = 1
		p.Windows = append(p.Windows, again)
	}), "windows", "its rows give")
}

func TestAWindowOfNothingIsNoticed(t *testing.T) {
	mustComplain(t, documented(), windowOnce(func(p *history.Projections) {
		other := p.Windows[0]
		other.Start -= 3_600_000_000
		p.Windows = append(p.Windows, other)
	}), "windows", "no rows that a closed window had")
}

func TestAnAlarmThatAReplayDoesNotRaiseIsNoticed(t *testing.T) { // I7
	done := false
	mustComplain(t, documented(), sim.Sabotage{History: func(p *history.Projections) {
		if !done && len(p.Alarms) > 0 {
			done = true
			p.Alarms = p.Alarms[1:]
		}
	}}, "I7", "alarm log")
}
