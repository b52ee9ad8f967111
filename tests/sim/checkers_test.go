package sim

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// complaints runs f over a simulation of one gateway that never began.
func complaints(t *testing.T, f func(s *Sim, g *gateway)) (found []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b, err := newBoard("hq", "gw0", 1)
		if err != nil {
			t.Fatal(err)
		}
		s := &Sim{trace: newTrace(), office: office{last: map[docName]string{}}}
		g := &gateway{name: id.Gateway{Site: "hq", Name: "gw0"}, board: b, began: []time.Time{time.Now()}}
		s.gateways = []*gateway{g}
		s.tap = newTap(s.trace, nil, 1)
		f(s, g)
		found = s.trace.broken()
	})
	return found
}

func wantComplaint(t *testing.T, found []string, want string) {
	t.Helper()
	if all := strings.Join(found, "\n"); !strings.Contains(all, want) {
		t.Errorf("no complaint with %q among:\n%s", want, all)
	}
}

func TestACommandOfADeposedOwnerIsNoticed(t *testing.T) { // I3
	for end, want := range map[uint64]string{10: "which was deposed", 30: ""} {
		found := complaints(t, func(s *Sim, _ *gateway) {
			s.tap.fence(0, 5, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "old"})
			s.tap.fence(0, end, journal.Barrier{Incarnation: 1, Epoch: 2, Owner: "new"})
			s.tap.asked[id.Command{1}] = &asked{opened: 20}
			s.tap.sends(reign{0, "old", 1}, id.Command{1})
			s.tap.checkCommands()
		})
		if want == "" && len(found) > 0 {
			t.Errorf("complaints about a command that its owner had opened: %v", found)
		} else if want != "" {
			wantComplaint(t, found, "whose outbox record 20 stands behind the barrier 10")
		}
	}
}

func TestACommandThatWasTakenAndIsNotInTheLogIsNoticed(t *testing.T) { // I2
	found := complaints(t, func(s *Sim, _ *gateway) {
		s.tap.promise(id.Command{1})
		s.tap.checkCommands()
	})
	wantComplaint(t, found, "the log does not hold it")
}

func TestExecutionsThatDoNotFitHowACommandEndedAreNoticed(t *testing.T) {
	for _, c := range []struct {
		end  command.Status
		want string
		done []time.Duration // since the gateway began
	}{
		{command.Done, "", []time.Duration{time.Second}},
		{command.Expired, "is expired, and gw0-dial did it", []time.Duration{time.Second}},
		{command.Refused, "is refused, and gw0-dial did it", []time.Duration{time.Second}},
		{command.Done, "twice by one process", []time.Duration{time.Second, 2 * time.Second}},
		{command.Done, "after its result was offered", []time.Duration{4 * time.Second}},
		{command.Unknown, "it had to begin before", []time.Duration{7 * time.Second}},
	} {
		found := complaints(t, func(s *Sim, g *gateway) {
			begin := time.Now()
			dial := g.board.panel.actuators[dialDevice].device
			for _, at := range c.done {
				g.board.panel.done = append(g.board.panel.done, execution{dial, 5, begin.Add(at)})
			}
			g.heard.note(id.Command{1}, func(h *heard) { h.until, h.offered = begin.Add(5*time.Second), begin.Add(3*time.Second) })
			a := &asked{intent: journal.Intent{ID: id.Command{1}, Device: dial.Name, Args: number(5)}}
			s.checkExecutions(a, &command.Command{ID: id.Command{1}, Device: dial.Name, Gateway: "gw0", Status: c.end})
		})
		if c.want == "" && len(found) > 0 {
			t.Errorf("a command that fits: %v", found)
		}
		wantComplaint(t, found, c.want)
	}
}

func TestAnExecutionThatNobodyAskedForIsNoticed(t *testing.T) {
	found := complaints(t, func(s *Sim, g *gateway) {
		g.board.panel.done = []execution{{g.board.panel.actuators[stampDevice].device, 9, time.Now()}}
		s.checkUnasked(nil)
	})
	wantComplaint(t, found, "gw0-stamp did 9, which nobody asked for")
}

func TestARoomThatIsNotWhatItsTwinsSayIsNoticed(t *testing.T) {
	hall := docName{"hq", document.Room, "hall"}
	for want, change := range map[string]func(*site.Room){
		"":                         func(*site.Room) {},
		"its documents say":        func(r *site.Room) { r.Devices = nil },
		"its twins give":           func(r *site.Room) { r.Aggregates[0].Mean++ },
		"lacks map":                func(r *site.Room) { r.Aggregates = nil },
		"shows 0 live members and": func(r *site.Room) { r.Live = 0 },
	} {
		found := complaints(t, func(s *Sim, _ *gateway) {
			s.office.last[hall] = s.textOf(hall, 0)
			p := picture{rooms: []site.Room{{Room: id.Room{Site: "hq", Name: "hall"}, Devices: slices.Sorted(slices.Values(s.devicesOf(hall, 0))), Live: 1}}}
			p.devices = []site.Device{{
				Device: id.Device{Site: "hq", Name: p.rooms[0].Devices[0]}, Liveness: twin.Live,
				Points: []site.Point{{Point: "on", Kind: wire.KindBoolean, Held: true, Value: 1, Sampled: time.UnixMicro(7)}},
			}}
			p.rooms[0].Aggregates = []room.Aggregate{{Point: "on", Kind: wire.KindBoolean, Count: 1, Mean: 1, Min: 1, Max: 1, Any: true, NewestAt: 7}}
			change(&p.rooms[0])
			s.checkRooms(&p)
		})
		if want == "" && len(found) > 0 {
			t.Errorf("a room that is right: %v", found)
		}
		wantComplaint(t, found, want)
	}
}

func TestTwoOwnersOfOneEpochAreNoticed(t *testing.T) { // I3
	found := complaints(t, func(s *Sim, _ *gateway) {
		s.tap.fence(0, 5, journal.Barrier{Incarnation: 1, Epoch: 2, Owner: "n1"})
		s.tap.fence(0, 6, journal.Barrier{Incarnation: 1, Epoch: 2, Owner: "n1"}) // once more
		s.tap.fence(0, 7, journal.Barrier{Incarnation: 1, Epoch: 2, Owner: "n2"})
	})
	if len(found) != 1 {
		t.Fatalf("%d complaints, want 1: %v", len(found), found)
	}
	wantComplaint(t, found, "barrier of n2, epoch 2, after that of n1, epoch 2")
}
