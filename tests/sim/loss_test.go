package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/tests/sim"
)

// silent keeps entries of the ledger from history.
func silent(which func(*history.Entry) bool) sim.Sabotage {
	return sim.Sabotage{History: func(p *history.Projections) {
		p.Ledger = slices.DeleteFunc(p.Ledger, func(e history.Entry) bool { return which(&e) })
	}}
}

// greedy lets remainders begin where what was acked lies.
func greedy() sim.Sabotage {
	return sim.Sabotage{History: func(p *history.Projections) {
		for i := range p.Ledger {
			if p.Ledger[i].Reason == history.UnknownRemainder {
				p.Ledger[i].A = 1
			}
		}
	}}
}

func isRemainder(e *history.Entry) bool { return e.Reason == history.UnknownRemainder }

// wiped is a gateway that gets an empty card while its link is down.
func wiped() sim.Plan {
	return alone(14*time.Second,
		sim.Event{At: 3 * time.Second, Kind: sim.Blackout, For: 4 * time.Second},
		sim.Event{At: 5 * time.Second, Kind: sim.Wiped})
}

// alone is a line with one device, which is read now and then: all that is
// wrong with it is said.
func alone(length time.Duration, events ...sim.Event) sim.Plan {
	plan := lasting(length, events...)
	plan.Gateways[0].Devices, plan.Gateways[0].Every = 1, 250*time.Millisecond
	return plan
}

// A wiped gateway knows nothing of its runs; what the cloud does not have of
// them is an unknown remainder.
func TestAWipedGatewayIsInTheLedger(t *testing.T) { // I1
	if out := mustBeRight(t, wiped()); out.Report.Remainder == 0 {
		t.Fatalf("nothing was lost: %+v", out.Report)
	}
	out := run(t, wiped(), silent(isRemainder))
	wantComplaint(t, out, "I1", "lost")
	wantComplaint(t, out, "I1", "in neither the log nor a range")
	out = run(t, wiped(), greedy())
	wantComplaint(t, out, "I1", "is behind the run's end")
	wantComplaint(t, out, "I1", "and nothing took that")
}

// restoredCard is a gateway whose card is put back to what it held earlier,
// while its link is down. With reconnected its runs begin anew between.
func restoredCard(reconnected bool) sim.Plan {
	events := []sim.Event{
		{At: 3 * time.Second, Kind: sim.RestoredCard, For: 14 * time.Second},
		{At: 15 * time.Second, Kind: sim.Blackout, For: 4 * time.Second},
	}
	if reconnected {
		events = append(events, sim.Event{At: 4 * time.Second, Kind: sim.CloudCrash})
	}
	return alone(25*time.Second, events...)
}

// A card that was put back knows of no run that began behind its copy, and less
// than the cloud of those before. It uses no sequence again.
func TestARestoredCardIsInTheLedger(t *testing.T) { // I1
	for _, reconnected := range []bool{false, true} {
		if out := mustBeRight(t, restoredCard(reconnected)); out.Report.Remainder == 0 {
			t.Fatalf("nothing was lost: %+v", out.Report)
		}
		out := run(t, restoredCard(reconnected), silent(func(e *history.Entry) bool { return e.B == 0 }))
		wantComplaint(t, out, "I1", "lost")
		wantComplaint(t, out, "I1", "in neither the log nor a range")
	}
	mustComplain(t, restoredCard(true), greedy(), "I1", "and nothing took that")
}

// restoredCloud is a cloud that is put back to what it knew earlier. Meanwhile a
// run began, came to its end and left its gateway, which has started again since.
func restoredCloud() sim.Plan {
	return alone(34*time.Second,
		sim.Event{At: 2500 * time.Millisecond, Kind: sim.RestoredCloud, For: 25 * time.Second},
		sim.Event{At: 4 * time.Second, Kind: sim.GatewayRestart},
		sim.Event{At: 8 * time.Second, Kind: sim.GatewayRestart},
		sim.Event{At: 24 * time.Second, Kind: sim.GatewayRestart})
}

// What a cloud acked and no longer has is an unknown remainder, also of a run
// that it never heard of and that its gateway holds no more.
func TestACloudThatWasRestoredSaysWhatItLost(t *testing.T) { // I1
	if out := mustBeRight(t, restoredCloud()); out.Report.Remainder == 0 {
		t.Fatalf("nothing was lost: %+v", out.Report)
	}
	mustComplain(t, restoredCloud(), silent(isRemainder), "I1", "lost")
	out := run(t, restoredCloud(), greedy())
	wantComplaint(t, out, "I1", "covers what something else holds")
	wantComplaint(t, out, "I1", "and nothing took that")
	mustComplain(t, restoredCloud(), sim.Sabotage{Forgetful: true}, "I1", "in neither the log nor a range")
}

// clonedCard is a gateway whose card is copied into another board.
func clonedCard() sim.Plan {
	return alone(110*time.Second, sim.Event{At: 3 * time.Second, Kind: sim.ClonedCard})
}

// Two boards with one identity disown each other's runs: the ledger says which
// readings that cost, and that there are two.
func TestAClonedCardIsInTheLedger(t *testing.T) { // I1
	if out := mustBeRight(t, clonedCard()); out.Report.Remainder == 0 {
		t.Fatalf("nothing was lost: %+v", out.Report)
	}
	late := func(e *history.Entry) bool { return e.Reason == history.Late && e.A%10 == 0 }
	mustComplain(t, clonedCard(), silent(late), "I1", "history lacks run")
	twice := func(e *history.Entry) bool { return e.Reason == history.IdentityTwice }
	mustComplain(t, clonedCard(), silent(twice), "I1", "a clone of it true, the ledger says so false")
}
