package sim_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/sim"
)

// calm is a plan in which nothing happens but what a test adds.
func calm(events ...sim.Event) sim.Plan {
	slices.SortStableFunc(events, func(a, b sim.Event) int { return cmp.Compare(a.At, b.At) })
	return sim.Plan{
		Seed: 1, Length: 8 * time.Second, Events: events,
		Gateways: []sim.GatewayPlan{{
			Mode: buffer.Spill, Interval: 500 * time.Millisecond, Linger: 20 * time.Millisecond, Limit: buffer.MinMaxMemory,
			Devices: 2, Every: 100 * time.Millisecond, Restart: time.Second,
		}},
		Cloud: sim.CloudPlan{Shards: 1, SnapshotEvery: time.Second, SnapshotMessages: 1000, Sync: 5 * time.Millisecond, AckTimeout: time.Second},
	}
}

func TestACalmLineHasNothingToComplainOf(t *testing.T) {
	out := run(t, calm(), sim.Sabotage{})
	if len(out.Complaints) > 0 {
		t.Fatalf("%s\n%s", strings.Join(out.Complaints, "\n"), strings.Join(out.Trace(lastLines), "\n"))
	}
	if r := out.Report.String(); !strings.Contains(r, "0 lost") || strings.Contains(r, "verify: 0 readings") {
		t.Fatal(r)
	}
}

// mustComplain runs a sabotaged plan and wants a complaint with these words.
func mustComplain(t *testing.T, plan sim.Plan, sabotage sim.Sabotage, words ...string) {
	t.Helper()
	wantComplaint(t, run(t, plan, sabotage), words...)
}

func wantComplaint(t *testing.T, out sim.Outcome, words ...string) {
	t.Helper()
	if !complains(out, words) {
		t.Fatalf("no complaint with %q among:\n%s", words, strings.Join(out.Complaints, "\n"))
	}
}

// complains reports whether one complaint has all of the words.
func complains(out sim.Outcome, words []string) bool {
	return slices.ContainsFunc(out.Complaints, func(c string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(c, w) })
	})
}

// once changes the first projections that begin with two rows of counters: an
// event has no grid.
func once(f func(*history.Projections)) sim.Sabotage {
	done := false
	return sim.Sabotage{History: func(p *history.Projections) {
		if !done && len(p.Rows) > 1 && p.Rows[0].Grid > 0 && p.Rows[1].Grid > 0 {
			done = true
			f(p)
		}
	}}
}

func TestARemovedRowIsNoticed(t *testing.T) { // I1
	mustComplain(t, calm(), once(func(p *history.Projections) { p.Rows = p.Rows[1:] }), "I1", "lost")
}

func TestARowAppliedTwiceIsNoticed(t *testing.T) { // I1
	mustComplain(t, calm(), once(func(p *history.Projections) {
		again := p.Rows[0]
		again.Seq += 1000
		p.Rows = append(p.Rows, again)
	}), "I1", "duplicated")
}

func TestRowsThatChangePlacesAreNoticed(t *testing.T) { // I1
	var first history.Row
	done := false
	mustComplain(t, calm(), sim.Sabotage{History: func(p *history.Projections) {
		for i := range p.Rows {
			r := &p.Rows[i]
			switch {
			case done || r.Grid == 0: // an event is not a counter's
			case first.N == 0:
				first = *r
				first.Data = slices.Clone(r.Data)
			case r.Device == first.Device && r.Seq > first.Seq+5:
				r.N, r.Data, done = first.N, first.Data, true
			}
		}
	}}, "I1", "reordered")
}

// A gateway that hears nothing sends again what the log holds already.
func TestLostAcksBringDuplicatesAndNoComplaint(t *testing.T) { // I1
	if out := mustBeRight(t, deaf()); out.Tally.Duplicates == 0 {
		t.Fatalf("%+v", out.Tally)
	}
}

func TestAnAckBeforeTheJournalHasItIsNoticed(t *testing.T) { // I2
	plan := calm()
	plan.Cloud.Sync = 100 * time.Millisecond
	mustComplain(t, plan, sim.Sabotage{AckEarly: true}, "I2", "is acked to")
}

func TestAJournalThatSyncsLaterIsNoticed(t *testing.T) { // I2
	mustComplain(t, calm(sim.Event{At: 4 * time.Second, Kind: sim.CloudCrash}), sim.Sabotage{LazySync: true}, "I2", "which was durable")
}

// A deposed owner that does not read its log still finds its devices silent,
// and wants to write that.
func TestADeposedOwnersRecordsAreRefused(t *testing.T) { // I3
	plan := calm(sim.Event{At: 3 * time.Second, Kind: sim.Takeover, For: 15 * time.Second})
	plan.Length, plan.Cloud.SnapshotEvery = 20*time.Second, time.Minute
	out := run(t, plan, sim.Sabotage{})
	story := strings.Join(out.Trace(-1), "\n")
	if len(out.Complaints) > 0 || !strings.Contains(story, "shard lost") {
		t.Fatalf("%s\n%s", strings.Join(out.Complaints, "\n"), story)
	}
	mustComplain(t, plan, sim.Sabotage{Unfenced: true}, "I3", "but the owner is")
}

// A gateway without a link holds frames in memory and then on disk.
func TestAGatewayBeyondItsBoundsIsNoticed(t *testing.T) { // I5
	plan := calm(sim.Event{At: 2 * time.Second, Kind: sim.Blackout, For: 4 * time.Second})
	tighter := sim.Sabotage{Tighter: plan.Gateways[0].Limit + wire.MaxFrame}
	mustComplain(t, plan, tighter, "I5", "in memory")
	mustComplain(t, plan, tighter, "I5", "on disk")
}

func TestRubbishInALogIsNoticed(t *testing.T) { // I6
	mustComplain(t, calm(), sim.Sabotage{Stranger: id.Gateway{Site: "hq", Name: "gw0"}}, "I6", "which only sends rubbish")
}

func TestAReplayThatLacksARecordIsNoticed(t *testing.T) { // I7
	mustComplain(t, calm(), sim.Sabotage{Replayed: func(log []journal.Message) []journal.Message {
		log = slices.Clone(log)
		for i := range log {
			if at := slices.IndexFunc(log[i].Records, func(r journal.Record) bool { return r.Kind == journal.KindFrame }); at >= 0 {
				log[i].Records = slices.Delete(slices.Clone(log[i].Records), at, at+1)
				return log
			}
		}
		return log
	}}, "I7")
}
