package twin_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const tick = 1_000_000 // ns

func column(p id.Point) wire.Column {
	return wire.Column{Point: p, Unit: "Cel", Mantissa: 1, Exponent: -2}
}

func rows(ts []int64, qs []uint64, cols ...[]int64) *wire.Rows {
	return &wire.Rows{T: ts, Q: qs, V: cols}
}

// drawBatch draws a frame's block. Values are unique per (run, seq, row), so
// that the reported value tells which row it came from.
func drawBatch(t *rapid.T, n int) *twin.Batch {
	run := rapid.Uint64Range(1, 3).Draw(t, "run")
	b := &twin.Batch{
		Columns: []wire.Column{column("a"), column("b")},
		Rows:    &wire.Rows{V: make([][]int64, 2)},
		Tick:    tick, Grid: 1000,
		Order: twin.Order{Bind: rapid.Uint64Range(1, 2).Draw(t, "bind"), Boot: run, Run: run, Seq: uint64(n) + 1},
		Run:   id.Run{byte(run)},
		UTC0:  rapid.Int64Range(-5_000_000, 5_000_000).Draw(t, "utc0"), // clocks that step
	}
	for row := range rapid.IntRange(1, 4).Draw(t, "rows") {
		b.Rows.T = append(b.Rows.T, rapid.Int64Range(0, 20).Draw(t, "t"))
		b.Rows.Q = append(b.Rows.Q, rapid.Uint64Range(0, 15).Draw(t, "q"))
		for c := range b.Rows.V {
			b.Rows.V[c] = append(b.Rows.V[c], int64(n*100+row*10+c))
		}
	}
	return b
}

// newest is the oracle: the greatest row of all, by exhaustive comparison.
func newest(batches []*twin.Batch, column int) (order twin.Order, value int64, ok bool) {
	for _, b := range batches {
		for row := range b.Rows.T {
			q := wire.QualityOf(b.Rows.Q[row], column)
			o := b.Order
			o.Tick = b.Rows.T[row] * tick
			if q != wire.Good && q != wire.OutOfRange {
				continue
			}
			// >= within a batch: of one tick the later row counts.
			if c := o.Compare(order); !ok || c > 0 || c == 0 {
				order, value, ok = o, b.Rows.V[column][row], true
			}
		}
	}
	return order, value, ok
}

// I4: whatever order frames of different runs are delivered in, the twin ends
// at the same maximum, and no step takes it back.
func TestAnyOrderOfDeliveryEndsAtTheMaximumAndNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var batches []*twin.Batch
		for n := range rapid.IntRange(1, 12).Draw(t, "batches") {
			batches = append(batches, drawBatch(t, n))
		}
		var want [2]int64
		var held [2]bool
		for c := range want {
			_, want[c], held[c] = newest(batches, c)
		}
		shuffled := rapid.Permutation(batches).Draw(t, "order")
		var s twin.State
		var last [2]twin.Order
		for i, b := range shuffled {
			s.Step(int64(i+1)*1000, twin.Input{Kind: twin.Readings, Batch: b})
			for c := range s.Len() {
				if s.Point(c).At.Order.Compare(last[c]) < 0 {
					t.Fatalf("point %d went back from %+v to %+v", c, last[c], s.Point(c).At.Order)
				}
				last[c] = s.Point(c).At.Order
			}
		}
		for c := range want {
			if got := s.Point(c); got.Held != held[c] || held[c] && got.Value != want[c] {
				t.Fatalf("point %d holds %v %d, want %v %d", c, got.Held, got.Value, held[c], want[c])
			}
		}
	})
}

// plain is the oracle of what a twin keeps: each point for itself, nothing shared.
type plain map[id.Point]twin.Point

func (all plain) take(now int64, b *twin.Batch) {
	for i, c := range b.Columns {
		p := all[c.Point]
		p.Column.Point = c.Point
		if !p.Held {
			p.Column = twin.Column{Point: c.Point, Unit: c.Unit, Kind: c.Kind, Mantissa: c.Mantissa, Exponent: c.Exponent}
		}
		for row, t := range b.Rows.T {
			at := twin.Stamp{
				Order: b.Order, Run: b.Run, Quality: wire.QualityOf(b.Rows.Q[row], i), Sampled: b.UTC0 + t*tick/1000,
				Received: now, Source: b.Source, Uncertainty: b.Uncertainty,
			}
			at.Order.Tick = t * tick
			if at.Sampled > now+twin.FutureTolerance.Microseconds() {
				at.Sampled, at.Suspect = now, true
			}
			if at.Order.Compare(p.NowAt.Order) >= 0 {
				p.Now, p.NowAt = at.Quality, at
			}
			if good := at.Quality == wire.Good || at.Quality == wire.OutOfRange; good && at.Order.Compare(p.At.Order) >= 0 {
				p.Value, p.Held, p.At = b.Rows.V[i][row], true, at
			}
		}
		all[c.Point] = p
	}
}

// I7: points share stamps and columns, and none sees anything of another's; a
// snapshot read back is the same state, and its bytes are the same.
func TestASnapshotIsOfEachPointForItselfAndReadBackHasTheSameBytes(t *testing.T) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s, want := new(twin.State), plain{}
		s.Step(1, twin.Input{Kind: twin.Bound, Gateway: "gw"})
		for n := range rapid.IntRange(0, 12).Draw(t, "batches") {
			b := drawBatch(t, n)
			if rapid.Bool().Draw(t, "another series") {
				b.Columns = []wire.Column{column("b"), column("c")}
			}
			s.Step(int64(n), twin.Input{Kind: twin.Readings, Batch: b})
			want.take(int64(n), b)
			if rapid.Bool().Draw(t, "restart") {
				s = readBack(t, enc, s)
			}
		}
		for _, p := range s.Snapshot().Points {
			if diff := cmp.Diff(want[p.Column.Point], p); diff != "" {
				t.Fatal(diff)
			}
		}
		if s.Len() != len(want) {
			t.Fatalf("%d points, want %d", s.Len(), len(want))
		}
	})
}

// readBack returns the twin that a snapshot becomes, whose snapshot is the same.
func readBack(t *rapid.T, enc cbor.EncMode, s *twin.State) *twin.State {
	first, err := enc.Marshal(s.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var kept twin.Snapshot
	if err := cbor.Unmarshal(first, &kept); err != nil {
		t.Fatal(err)
	}
	if err := kept.Check(); err != nil {
		t.Fatal(err)
	}
	back := kept.Restore()
	second, err := enc.Marshal(back.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Fatalf("snapshots differ:\n%s", cmp.Diff(s.Snapshot(), back.Snapshot()))
	}
	return back
}

// The bytes are those of the programs before, whose snapshots are read. A twin
// of readings, failed reads, a text and a second series is in them.
func TestTheBytesOfASnapshotStay(t *testing.T) {
	s := new(twin.State)
	s.Step(1, twin.Input{Kind: twin.Bound, Gateway: "gw"})
	s.Step(2, twin.Input{Kind: twin.Readings, Batch: &twin.Batch{
		Profile: "p", Columns: []wire.Column{column("a"), column("b")}, Tick: tick, Grid: 1000, Run: id.Run{1, 2},
		Order: twin.Order{Bind: 1, Boot: 1, Run: 1, Seq: 1}, UTC0: 5, Uncertainty: 7, Source: wire.ClockWelcome,
		Rows: rows([]int64{1, 2}, []uint64{0, 2}, []int64{100, 101}, []int64{200, 201}),
	}})
	s.Step(3, twin.Input{Kind: twin.Readings, Batch: &twin.Batch{
		Columns: []wire.Column{{Point: "t", Kind: wire.KindText, Mantissa: 1}}, Tick: tick, Run: id.Run{3}, Event: true,
		Order: twin.Order{Bind: 1, Boot: 1, Run: 2, Seq: 9}, UTC0: 1e15,
		Rows: &wire.Rows{T: []int64{3}, Q: []uint64{0}, V: [][]int64{{0}}, Texts: [][]string{{"stuck"}}},
	}})
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := enc.Marshal(s.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if hex := fmt.Sprintf("%x", got); hex != golden {
		t.Errorf("the snapshot is\n%s, was\n%s", hex, golden)
	}
}

// golden was written when each point had its own stamps.
const golden = "896267770183878561616343656c000121186460f5888501011a000f42400101480102000000000000001903ed020207f402888501011a001e84800101480102000000000000021907d5020207f4878561626343656c00012118c960f5888501011a001e84800101480102000000000000001907d5020207f400888501011a001e84800101480102000000000000001907d5020207f487856174600401000065737475636bf5888501011a002dc6c002094803000000000000000003030000f500888501011a002dc6c002094803000000000000000003030000f50102001a00989680006170"

// A damaged snapshot is refused, as points are looked for by their order (I6).
func TestASnapshotOfPointsOutOfOrderOrTooManyIsRefused(t *testing.T) {
	a, b := twin.Point{Column: twin.Column{Point: "a"}}, twin.Point{Column: twin.Column{Point: "b"}}
	for _, points := range [][]twin.Point{{b, a}, {a, a}, make([]twin.Point, twin.MaxPoints+1)} {
		if err := (&twin.Snapshot{Points: points}).Check(); err == nil {
			t.Errorf("%d points were taken", len(points))
		}
	}
	if err := (&twin.Snapshot{Points: []twin.Point{a, b}}).Check(); err != nil {
		t.Error(err)
	}
}

func TestABadOrUncertainReadingChangesQualityAndNotValue(t *testing.T) {
	var s twin.State
	batch := func(seq uint64, t, v int64, q wire.Quality) *twin.Batch {
		return &twin.Batch{Columns: []wire.Column{column("a")}, Rows: rows([]int64{t}, []uint64{uint64(q)}, []int64{v}), Tick: tick, Order: twin.Order{Seq: seq, Run: 1}}
	}
	s.Step(1, twin.Input{Kind: twin.Readings, Batch: batch(1, 1, 100, wire.Good)})
	for i, q := range []wire.Quality{wire.Bad, wire.Uncertain} {
		s.Step(2, twin.Input{Kind: twin.Readings, Batch: batch(uint64(i)+2, int64(i)+2, 7, q)})
		if p := s.Point(0); p.Value != 100 || p.At.Quality != wire.Good || p.Now != q {
			t.Fatalf("after a %s reading: value %d %s, now %s", q, p.Value, p.At.Quality, p.Now)
		}
	}
	// A late good reading older than the failures: its value is newer than the
	// one held, and the sensor still fails.
	s.Step(3, twin.Input{Kind: twin.Readings, Batch: batch(9, 2, 150, wire.OutOfRange)})
	if p := s.Point(0); p.Value != 150 || p.At.Quality != wire.OutOfRange || p.Now != wire.Uncertain {
		t.Fatalf("late reading: value %d %s, now %s", p.Value, p.At.Quality, p.Now)
	}
}

func TestATextAndAFloatAreReportedAsTheyAre(t *testing.T) {
	var s twin.State
	state := wire.Column{Point: "state", Kind: wire.KindText, Mantissa: 1}
	ratio := wire.Column{Point: "ratio", Kind: wire.KindFloat, Mantissa: 1}
	b := &twin.Batch{
		Columns: []wire.Column{ratio, state}, Tick: tick, Order: twin.Order{Seq: 1, Run: 1},
		Rows: rows([]int64{1, 2}, []uint64{0, 0}, []int64{int64(math.Float64bits(1.5)), int64(math.Float64bits(-0.1))}, []int64{0, 1}),
	}
	b.Rows.Texts = [][]string{nil, {"idle", "stuck"}}
	s.Step(1, twin.Input{Kind: twin.Readings, Batch: b})
	if r, p := s.Point(0), s.Point(1); r.Float() != -0.1 || p.Text != "stuck" || p.Value != 0 || p.Float() != 0 || p.Column.Kind != wire.KindText {
		t.Fatalf("the twin says %+v", s.Snapshot().Points)
	}
	// The next version of the profile counts what it named before.
	b = &twin.Batch{Columns: []wire.Column{{Point: "state", Mantissa: 1}}, Rows: rows([]int64{3}, []uint64{0}, []int64{7}), Tick: tick, Order: twin.Order{Seq: 2, Run: 1}}
	s.Step(2, twin.Input{Kind: twin.Readings, Batch: b})
	if p := s.Point(1); p.Text != "" || p.Value != 7 {
		t.Fatalf("the number has the text %q, value %d", p.Text, p.Value)
	}
}

func TestASampleFromTheFutureIsSuspectAndShownAtItsArrival(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	for _, f := range []struct {
		ahead time.Duration
		want  bool
	}{{twin.FutureTolerance, false}, {twin.FutureTolerance + time.Microsecond, true}} {
		var s twin.State
		b := &twin.Batch{Columns: []wire.Column{column("a")}, Rows: rows([]int64{0}, []uint64{0}, []int64{1}), Tick: tick, Order: twin.Order{Seq: 1}, UTC0: now + f.ahead.Microseconds()}
		s.Step(now, twin.Input{Kind: twin.Readings, Batch: b})
		at := s.Point(0).At
		if at.Suspect != f.want || f.want && at.Sampled != now {
			t.Errorf("%v ahead: suspect %v, sampled %d with now %d", f.ahead, at.Suspect, at.Sampled, now)
		}
	}
}

func TestTheGatewayThatTakesADeviceOverOutranksTheOneBefore(t *testing.T) {
	var s twin.State
	for _, step := range []struct {
		gw   string
		want uint64
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"b", 2}, {"a", 3}} {
		if got := s.Step(1, twin.Input{Kind: twin.Bound, Gateway: step.gw}).Bind; got != step.want {
			t.Fatalf("bound to %s: rank %d, want %d", step.gw, got, step.want)
		}
	}
}

func TestSilenceTakesATickThreeGridsAndAnActiveShard(t *testing.T) {
	second := time.Second.Microseconds()
	var s twin.State
	reading := func(now int64, grid uint64) {
		b := &twin.Batch{Columns: []wire.Column{column("a")}, Rows: rows([]int64{now}, []uint64{0}, []int64{1}), Tick: tick, Grid: grid, Order: twin.Order{Seq: uint64(now)}}
		s.Step(now, twin.Input{Kind: twin.Readings, Batch: b})
	}
	ticked := func(now int64) bool { return s.Step(now, twin.Input{Kind: twin.Tick}).Silenced }
	if s.Due() != 0 || ticked(100*second) {
		t.Fatal("a device that never spoke fell silent")
	}
	reading(100*second, 1000) // every second: the minimum rules
	if ticked(109*second) || !ticked(110*second) || s.Liveness != twin.Silent || ticked(111*second) {
		t.Fatal("want silence once, 10 s after the reading")
	}
	reading(200*second, 60_000) // every minute
	if ticked(379*second) || !ticked(380*second) {
		t.Fatal("want silence after 3 minutes")
	}
	reading(400*second, 1000)
	s.Step(1000*second, twin.Input{Kind: twin.Activated}) // nobody owned the shard
	if ticked(1009*second) || !ticked(1010*second) {
		t.Fatal("silence must count from the activation")
	}
	reading(1100*second, 1<<63)
	if s.Due() < 1100*second {
		t.Fatal("a hostile grid overflowed")
	}
}

// The gateway says that a device is absent: that is no life of the device's.
func TestAnEventAboutADeviceIsNotItsOwnWord(t *testing.T) {
	var s twin.State
	at := time.Minute.Microseconds()
	take := func(b *twin.Batch) twin.Output {
		b.Rows, b.Tick = rows([]int64{at}, []uint64{0}, []int64{0}), tick
		if b.Event {
			b.Rows.Texts = [][]string{{"absent"}}
		}
		b.Order.Seq++
		return s.Step(at, twin.Input{Kind: twin.Readings, Batch: b})
	}
	health := wire.Column{Point: "health", Kind: wire.KindText, Mantissa: 1}
	event := &twin.Batch{Profile: "atrium.health", Columns: []wire.Column{health}, Event: true}
	if out := take(event); !out.Changed || s.Liveness != twin.Unknown || s.Profile != "" || s.Point(0).Text != "absent" {
		t.Fatalf("a device that never spoke: %+v, changed %t", s, out.Changed)
	}
	take(&twin.Batch{Profile: "p", Columns: []wire.Column{column("a")}, Grid: 60_000})
	silence := s.Due()
	at += time.Minute.Microseconds()
	take(event)
	if s.Due() != silence || s.Profile != "p" {
		t.Errorf("an event moved the silence from %d to %d, profile %q", silence, s.Due(), s.Profile)
	}
}

func TestPointsBeyondTheLimitAreRefusedAndCounted(t *testing.T) {
	var s twin.State
	for i := range twin.MaxPoints + 5 {
		name := id.Point([]byte{'p', 'a' + byte(i/26%26), 'a' + byte(i%26), 'a' + byte(i/676)})
		b := &twin.Batch{Columns: []wire.Column{column(name)}, Rows: rows([]int64{0}, []uint64{0}, []int64{1}), Tick: tick, Order: twin.Order{Seq: 1}}
		s.Step(1, twin.Input{Kind: twin.Readings, Batch: b})
	}
	if s.Len() != twin.MaxPoints || s.Refused != 5 {
		t.Fatalf("%d points, %d refused", s.Len(), s.Refused)
	}
}

// Rooms and watchers are told of changes only; a backlog behind live readings
// is none, and does not bring an old firmware profile back.
func TestOnlyANewerReadingIsAChangeAndNamesTheProfile(t *testing.T) {
	var s twin.State
	reading := func(profile string, at int64) bool {
		b := &twin.Batch{Profile: profile, Columns: []wire.Column{column("a")}, Rows: rows([]int64{at}, []uint64{0}, []int64{1}), Tick: tick, Order: twin.Order{Seq: uint64(at)}}
		return s.Step(1, twin.Input{Kind: twin.Readings, Batch: b}).Changed
	}
	if !reading("new", 10) || s.Profile != "new" {
		t.Fatalf("the first reading: profile %q", s.Profile)
	}
	if reading("old", 5) || s.Profile != "new" {
		t.Fatalf("an older reading is a change, profile %q", s.Profile)
	}
	if !reading("newer", 11) || s.Profile != "newer" {
		t.Fatalf("a newer reading: profile %q", s.Profile)
	}
	if !s.Step(1, twin.Input{Kind: twin.Bound, Gateway: "gw"}).Changed || s.Step(1, twin.Input{Kind: twin.Bound, Gateway: "gw"}).Changed {
		t.Fatal("a binding is a change once")
	}
}
