package room_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func newRoom(name string, devices ...string) *room.Room {
	return &room.Room{Name: id.Room{Site: "hq", Name: name}, Devices: devices}
}

// oracle knows the documents and what each device said, and works everything
// out by looking at all of it.
type oracle struct {
	rooms map[string][]string
	said  map[string]room.Input
}

func (o *oracle) members(name string) (all []string) {
	for other, devices := range o.rooms {
		for _, d := range devices {
			if (other == name || strings.HasPrefix(other, name+"/")) && !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	slices.Sort(all)
	return all
}

func (o *oracle) of(device string) (all []string) {
	for name := range o.rooms {
		if slices.Contains(o.members(name), device) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// mean is the exact one, rounded once.
func (o *oracle) mean(name string, a room.Aggregate) float64 {
	sum, n := new(big.Float).SetPrec(500), 0
	for _, d := range o.members(name) {
		for _, p := range o.said[d].Points {
			if o.said[d].Live && p.Good && p.Point == a.Point && p.Unit == a.Unit && p.Kind == a.Kind {
				sum.Add(sum, big.NewFloat(p.Value))
				n++
			}
		}
	}
	if n != a.Count {
		return -1e300 // a wrong count is not near anything
	}
	mean, _ := sum.Quo(sum, big.NewFloat(float64(n))).Float64()
	return mean
}

// Whatever documents come and go and whatever devices say, in any order, a
// room is what the documents and the latest words make of it.
func TestARoomIsWhatItsDocumentsAndMembersSayInAnyOrder(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "a/d", "ab", "e", "e/f"})
	devices := rapid.SampledFrom([]string{"d1", "d2", "d3", "d4", "d5"})
	rapid.Check(t, func(t *rapid.T) {
		o := oracle{map[string][]string{}, map[string]room.Input{}}
		s := site{rooms: map[string]*room.State{}, said: o.said}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				name := names.Draw(t, "room")
				of := slices.Sorted(slices.Values(rapid.SliceOfNDistinct(devices, 0, 4, rapid.ID).Draw(t, "devices")))
				changed, err := s.plan.Put(newRoom(name, of...))
				if err != nil {
					t.Fatal(err)
				}
				o.rooms[name] = of
				s.define(changed)
			},
			"remove": func(t *rapid.T) {
				name := names.Draw(t, "room")
				changed := s.plan.Remove(name)
				delete(o.rooms, name)
				delete(s.rooms, name)
				s.define(changed)
			},
			"say": func(t *rapid.T) {
				in := drawWords(t, devices.Draw(t, "device"))
				o.said[in.Device] = in
				for _, name := range s.plan.Of(in.Device) {
					before := s.rooms[name].Aggregates()
					if changed := s.rooms[name].Step(in); !changed && !cmp.Equal(before, s.rooms[name].Aggregates()) {
						t.Fatalf("%s changed and did not say so", name)
					}
				}
			},
			"": func(t *rapid.T) { compare(t, &s, &o) },
		})
	})
}

func drawWords(t *rapid.T, device string) room.Input {
	in := room.Input{Kind: room.Member, Device: device, Live: rapid.Bool().Draw(t, "live")}
	for _, point := range []id.Point{"motion", "temperature"} {
		p := room.Point{Point: point, Unit: rapid.SampledFrom([]string{"1", "Cel"}).Draw(t, "unit"), Good: rapid.Bool().Draw(t, "good")}
		p.Value, p.Sampled = float64(rapid.IntRange(-1, 3).Draw(t, "value"))/10, rapid.Int64Range(1, 9).Draw(t, "sampled")
		in.Points = append(in.Points, p)
	}
	return in
}

func compare(t *rapid.T, s *site, o *oracle) {
	if len(s.rooms) != len(o.rooms) || len(s.plan.Rooms()) != len(o.rooms) {
		t.Fatalf("rooms %q, want %d", s.plan.Rooms(), len(o.rooms))
	}
	for _, d := range []string{"d1", "d2", "d3", "d4", "d5"} {
		if got := s.plan.Of(d); !slices.Equal(got, o.of(d)) {
			t.Fatalf("%s is in %q, want %q", d, got, o.of(d))
		}
	}
	for name, r := range s.rooms {
		want := o.members(name)
		if !slices.Equal(r.Members(), want) || !slices.Equal(s.plan.Members(name), want) {
			t.Fatalf("%s: members %q, want %q", name, r.Members(), want)
		}
		// A room that was told everything just now agrees to the bit.
		var fresh room.State
		fresh.Step(room.Input{Kind: room.Define, Members: want})
		for _, d := range want {
			if in, ok := o.said[d]; ok {
				fresh.Step(in)
			}
		}
		got := r.Aggregates()
		if diff := cmp.Diff(fresh.Aggregates(), got); diff != "" || fresh.Live() != r.Live() {
			t.Fatalf("%s: %d live, want %d\n%s", name, r.Live(), fresh.Live(), diff)
		}
		for _, a := range got {
			if want := o.mean(name, a); a.Mean < want-1e-12 || a.Mean > want+1e-12 || a.Mean < a.Min || a.Mean > a.Max {
				t.Fatalf("%s: %+v, want the mean %v", name, a, want)
			}
		}
	}
}

func TestTheMeanOfEqualValuesIsThatValue(t *testing.T) {
	var s room.State
	s.Step(room.Input{Kind: room.Define, Members: []string{"a", "b", "c"}})
	for _, d := range s.Members() {
		s.Step(room.Input{Kind: room.Member, Device: d, Live: true, Points: []room.Point{{Point: "p", Value: 0.1, Good: true}}})
	}
	if a := s.Aggregates()[0]; a.Mean != 0.1 {
		t.Fatalf("mean %v", a.Mean)
	}
}

func TestWhoStaysAMemberNeedNotSayItAgain(t *testing.T) {
	var s room.State
	s.Step(room.Input{Kind: room.Define, Members: []string{"a", "b"}})
	for _, d := range s.Members() {
		s.Step(room.Input{Kind: room.Member, Device: d, Live: true, Points: []room.Point{{Point: "p", Value: 1, Good: true}}})
	}
	if !s.Step(room.Input{Kind: room.Define, Members: []string{"b", "c"}}) || s.Step(room.Input{Kind: room.Define, Members: []string{"b", "c"}}) {
		t.Fatal("want a change, and none of the same again")
	}
	if a := s.Aggregates(); len(a) != 1 || a[0].Count != 1 || s.Live() != 1 {
		t.Fatalf("b alone speaks: %+v, %d live", a, s.Live())
	}
	if s.Step(room.Input{Kind: room.Member, Device: "a", Live: true}) {
		t.Fatal("a is no member any more")
	}
}

// I5, I6: what is beyond a limit is refused, and everything stays as it was.
func TestARoomBeyondALimitIsRefusedAndChangesNothing(t *testing.T) {
	var rooms room.Plan
	for i := range room.MaxRooms {
		mustPut(t, &rooms, newRoom(fmt.Sprintf("r%d", i), fmt.Sprintf("d%d", i)))
	}
	refused(t, &rooms, newRoom("more"), "remove one first")
	mustPut(t, &rooms, newRoom("r0", "d0")) // to replace one is no more

	var deep room.Plan
	for i := range room.MaxRoomsOfDevice {
		mustPut(t, &deep, newRoom(fmt.Sprintf("r%d/x", i), "d"))
	}
	mustPut(t, &deep, newRoom("r3/x", "d")) // it is in that room already
	refused(t, &deep, newRoom("other", "d"), "device d would be in 17 rooms")
	refused(t, &deep, newRoom("r3"), "device d would be in 17 rooms") // by a room above
	deep.Remove("r4/x")
	mustPut(t, &deep, newRoom("other", "d"))

	var many room.Plan
	names := make([]string, room.MaxDevices)
	for i := range names {
		names[i] = fmt.Sprintf("d%05d", i)
	}
	mustPut(t, &many, newRoom("all", names...))
	refused(t, &many, newRoom("new", "new"), "would name 16385 devices")
	mustPut(t, &many, newRoom("all", append([]string{"another"}, names[1:]...)...)) // one for one
	mustPut(t, &many, newRoom("all", names[1:]...))
	mustPut(t, &many, newRoom("new", "new"))
}

func mustPut(t testing.TB, p *room.Plan, r *room.Room) {
	t.Helper()
	if _, err := p.Put(r); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, p *room.Plan, r *room.Room, want string) {
	t.Helper()
	before := p.Room(r.Name.Name)
	rooms := p.Rooms()
	changed, err := p.Put(r)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), r.Name.String()) {
		t.Fatalf("put: %v, %v, want %q", changed, err, want)
	}
	if p.Room(r.Name.Name) != before || !slices.Equal(p.Rooms(), rooms) || len(p.Members(r.Name.Name)) != 0 {
		t.Fatalf("a refused room left something: %q", p.Members(r.Name.Name))
	}
	for _, d := range r.Devices {
		if slices.Contains(p.Of(d), r.Name.Name) {
			t.Fatalf("%s is in the refused room", d)
		}
	}
}

// A room of 1,000 devices with 3 points each: what a live picture asks for
// after a change.
func BenchmarkAggregates(b *testing.B) {
	var s room.State
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("d%04d", i))
	}
	s.Step(room.Input{Kind: room.Define, Members: names})
	for i, d := range names {
		s.Step(room.Input{Kind: room.Member, Device: d, Live: true, Points: []room.Point{
			{Point: "temperature", Unit: "Cel", Value: float64(i), Good: true},
			{Point: "humidity", Unit: "%RH", Value: float64(i), Good: true},
			{Point: "motion", Unit: "1", Kind: wire.KindBoolean, Value: float64(i % 2), Good: true},
		}})
	}
	for b.Loop() {
		if len(s.Aggregates()) != 3 {
			b.Fatal("want 3 aggregates")
		}
	}
}

// The documents of the largest site, one after another: what a recovery does.
func BenchmarkTheLargestPlan(b *testing.B) {
	all := []*room.Room{newRoom("a")}
	for i := range room.MaxRooms - 1 {
		r := newRoom(fmt.Sprintf("a/r%04d", i))
		for d := range room.MaxDevices / room.MaxRooms {
			r.Devices = append(r.Devices, fmt.Sprintf("d%04d-%02d", i, d))
		}
		all = append(all, r)
	}
	for b.Loop() {
		var p room.Plan
		for _, r := range all {
			mustPut(b, &p, r)
		}
	}
}
