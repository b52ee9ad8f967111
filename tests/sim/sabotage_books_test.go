package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/tests/sim"
)

// lasting is a calm plan with time for what it does to end.
func lasting(length time.Duration, events ...sim.Event) sim.Plan {
	plan := calm(events...)
	plan.Length = length
	return plan
}

// deaf is a gateway that hears nothing for a while, several times: now and then
// its connection recovers before another one sends again what has no ack.
func deaf() sim.Plan {
	var events []sim.Event
	for i := range 6 {
		events = append(events, sim.Event{At: time.Duration(2+4*i) * time.Second, Kind: sim.LostAcks, For: time.Duration(1500+300*i) * time.Millisecond})
	}
	return lasting(28*time.Second, events...)
}

// unseen keeps from owners what comes again.
func unseen() sim.Sabotage {
	seen := map[string]bool{}
	return sim.Sabotage{Records: func(all []journal.Record) []journal.Record {
		return slices.DeleteFunc(slices.Clone(all), func(r journal.Record) bool {
			again := r.Kind == journal.KindFrame && seen[string(r.Body)]
			seen[string(r.Body)] = true
			return again
		})
	}}
}

// History is written by key and does not show that a frame was applied twice;
// what owners count does.
func TestDuplicatesThatAnOwnerDoesNotCountAreNoticed(t *testing.T) { // I1
	mustComplain(t, deaf(), unseen(), "I1", "the owner counts", "its log gives")
}

// unplugged is a line of which a counter does not answer for a while.
func unplugged() sim.Plan {
	return calm(sim.Event{At: 3 * time.Second, Kind: sim.Unplug, For: 2 * time.Second})
}

func TestADeviceThatIsUnpluggedIsToldAsEvents(t *testing.T) {
	// ok of five devices, then absent and ok again.
	if out := mustBeRight(t, unplugged()); out.Tally.Events != 7 {
		t.Fatalf("%+v", out.Tally)
	}
}

// absent changes the row that says that a device does not answer, the sixth
// event.
func absent(f func(p *history.Projections, row int)) sim.Sabotage {
	events := 0
	return sim.Sabotage{History: func(p *history.Projections) {
		for i := range p.Rows {
			if p.Rows[i].Grid > 0 {
				continue
			}
			if events++; events == 6 {
				f(p, i)
				return
			}
		}
	}}
}

func TestAnEventThatIsLostIsNoticed(t *testing.T) { // I1
	mustComplain(t, unplugged(), absent(func(p *history.Projections, row int) { p.Rows = slices.Delete(p.Rows, row, row+1) }), "I1", "event", "is lost")
}

func TestAnEventThatComesTwiceIsNoticed(t *testing.T) { // I1
	mustComplain(t, unplugged(), absent(func(p *history.Projections, row int) {
		again := p.Rows[row]
		again.Seq += 1000
		p.Rows = append(p.Rows, again)
	}), "I1", "event", "arrived twice")
}

// pressed is a line whose gateway has no room on its disk for a while.
func pressed() sim.Plan {
	return lasting(20*time.Second, sim.Event{At: 2 * time.Second, Kind: sim.DiskFull, For: 12 * time.Second})
}

func TestPressureWithholdsRowsAndCountsThem(t *testing.T) { // I5
	if out := mustBeRight(t, pressed()); out.Tally.Thinned == 0 || out.Tally.Withheld == 0 {
		t.Fatalf("%+v", out.Tally)
	}
	mustComplain(t, pressed(), sim.Sabotage{Uncounted: true}, "I5", "rows count", "their frames")
}

// flipped is a line whose gateway's memory flips bits for a while.
func flipped() sim.Plan {
	return calm(sim.Event{At: 2 * time.Second, Kind: sim.BitFlips, For: 4 * time.Second, P: 0.2})
}

func TestARangeThatIsNotInTheLedgerIsNoticed(t *testing.T) { // I1
	mustBeRight(t, flipped())
	mustComplain(t, flipped(), sim.Sabotage{History: func(p *history.Projections) {
		p.Ledger = slices.DeleteFunc(p.Ledger, func(e history.Entry) bool { return e.Reason == history.Rejected })
	}}, "I1", "are in no range")
}

func TestARangeWithOtherReadingsThanItsFramesIsNoticed(t *testing.T) { // I1
	mustComplain(t, flipped(), sim.Sabotage{History: func(p *history.Projections) {
		for i := range p.Ledger {
			p.Ledger[i].Readings++
		}
	}}, "I1", "its frames held")
}

// flooded is a line whose gateway samples more than its buffer may hold.
func flooded() sim.Plan {
	return lasting(15*time.Second, sim.Event{At: 2 * time.Second, Kind: sim.Flood, N: 1500, For: 6 * time.Second})
}

func TestAFullBufferCostsWhatTheLedgerSays(t *testing.T) { // I1, I5
	if out := mustBeRight(t, flooded()); out.Tally.Quota == 0 || out.Tally.Thinned == 0 {
		t.Fatalf("%+v", out.Tally)
	}
	mustComplain(t, flooded(), sim.Sabotage{History: func(p *history.Projections) {
		for i := range p.Ledger {
			p.Ledger[i].A++
		}
	}}, "I1", "are in no range")
}

// A gateway whose clock begins with the epoch, or far ahead, never learns the
// time: its rows have that of its hello.
func TestARowIsNeverSurerOfItsTimeThanItIs(t *testing.T) {
	for _, rtc := range []time.Time{time.Unix(0, 0), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)} {
		plan := lasting(15*time.Second, sim.Event{At: 3 * time.Second, Kind: sim.GatewayRestart, After: true})
		plan.Gateways[0].RTC = rtc
		if out := mustBeRight(t, plan); out.Tally.Unvouched == 0 {
			t.Fatalf("%+v", out.Tally)
		}
		mustComplain(t, plan, sim.Sabotage{History: func(p *history.Projections) {
			for i := range p.Rows {
				p.Rows[i].UTC0 += time.Minute.Microseconds()
			}
		}}, "clock", "is claimed")
	}
}
