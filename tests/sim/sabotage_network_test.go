package sim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/tests/sim"
)

// connections returns over what a plan's gateways were connected, one after the
// other.
func connections(out sim.Outcome) (over []string) {
	for _, line := range out.Trace(-1) {
		if _, rest, ok := strings.Cut(line, `msg="connected to the cloud"`); ok {
			_, rest, _ = strings.Cut(rest, "over=")
			over = append(over, strings.Fields(rest)[0])
		}
	}
	return over
}

// rebound is a line whose gateway's address changes again and again.
func rebound() sim.Plan {
	var events []sim.Event
	for i := range 8 {
		events = append(events, sim.Event{At: time.Duration(2+i) * 700 * time.Millisecond, Kind: sim.Rebind})
	}
	return lasting(10*time.Second, events...)
}

func TestAGatewayWithAnotherAddressGoesOn(t *testing.T) { // I1
	out := mustBeRight(t, rebound())
	if got := connections(out); out.Tally.Rebinds != 8 || len(got) != 1 {
		t.Fatalf("%+v: connected over %v", out.Tally, got)
	}
	mustComplain(t, rebound(), sim.Sabotage{Severed: true}, "I1", "does not drain")
}

// blocked is a line whose gateway's UDP does not pass for a while.
func blocked(length time.Duration) sim.Plan {
	return lasting(length, sim.Event{At: 3 * time.Second, Kind: sim.UDPBlocked, For: 10 * time.Second})
}

func TestAGatewayWithoutUDPGoesOnOverTCPAndComesBack(t *testing.T) { // I1
	out := mustBeRight(t, blocked(80*time.Second))
	if got := connections(out); !slices.Equal(got, []string{"udp", "tcp", "udp"}) {
		t.Fatalf("connected over %v\n%s", got, strings.Join(out.Trace(lastLines), "\n"))
	}
	mustComplain(t, blocked(15*time.Second), sim.Sabotage{Severed: true}, "I1", "does not drain")
}

// A gate that is slow to journal has frames of a run which another one takes
// meanwhile: both journal them.
func TestARunThatTwoGatesTakeAtOnceIsAppliedOnce(t *testing.T) { // I1
	plan := func() sim.Plan {
		plan := lasting(20*time.Second, sim.Event{At: 3 * time.Second, Kind: sim.TwoGates, For: 8 * time.Second})
		plan.Cloud.SnapshotEvery = time.Minute // with which the first node would learn that it is deposed
		return plan
	}
	if out := mustBeRight(t, plan()); out.Tally.Shared == 0 || out.Tally.Duplicates == 0 {
		t.Fatalf("%+v\n%s", out.Tally, strings.Join(out.Trace(lastLines), "\n"))
	}
	mustComplain(t, plan(), unseen(), "I1", "the owner counts", "its log gives")
}

// A gateway that comes to a node that was deposed goes where it is told to. If
// nobody is there it stays, until the node ends.
func TestAGatewayGoesWhereItsOwnerIs(t *testing.T) { // I1
	plan := lasting(20*time.Second, sim.Event{At: 3 * time.Second, Kind: sim.Redirect, For: 15 * time.Second})
	plan.Cloud.SnapshotEvery = time.Minute // with which the first node would learn that it is deposed
	for _, astray := range []bool{false, true} {
		out := run(t, plan, sim.Sabotage{Astray: astray})
		stayed := slices.ContainsFunc(out.Trace(-1), func(line string) bool {
			return strings.Contains(line, "at=n0-1 gateway=hq/gw0") && strings.Contains(line, "code=shutdown")
		})
		if len(out.Complaints) > 0 || out.Tally.Redirects == 0 || stayed != astray {
			t.Errorf("astray %v, stayed %v: %+v\n%s\n%s", astray, stayed, out.Tally, strings.Join(out.Complaints, "\n"), strings.Join(out.Trace(lastLines), "\n"))
		}
	}
}
