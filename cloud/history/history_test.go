package history_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const tickNanos = 1_000_000

var (
	dev   = id.Device{Site: "hq", Name: "t1"}
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func open(t testing.TB, dir string) *history.Store {
	t.Helper()
	s, err := history.Open(history.Config{Dir: dir}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opened(t testing.TB) *history.Store {
	s := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// series is a counter in an exponent of its own, so that two are two series.
func series(exponent int) history.Series {
	b := wire.Body{Profile: "p", Version: 1, Tick: tickNanos, Columns: []wire.Column{
		{Point: "count", Unit: "1", Kind: wire.KindCounter, Mantissa: 1, Exponent: exponent},
		{Point: "other", Unit: "Cel", Mantissa: 625, Exponent: -4},
	}}
	body := b.Append(nil)
	return history.Series{Device: dev, Schema: wire.HashBody(body), Body: body}
}

// row is a block of the series with the given ticks, values = ticks, and every
// fourth one bad.
func row(s history.Series, run byte, seq uint64, ticks ...int64) history.Row {
	var rows wire.Rows
	lo, hi := ticks[0], ticks[0]
	for _, t := range ticks {
		q := uint64(0)
		if t%4 == 3 {
			q = wire.WithQuality(0, 0, wire.Bad)
		}
		rows.Append(t, q, []int64{t, -t})
		lo, hi = min(lo, t), max(hi, t)
	}
	us := func(t int64) int64 { return epoch.UnixMicro() + t*tickNanos/1000 }
	return history.Row{
		Device: s.Device, Schema: s.Schema, Run: id.Run{run}, Seq: seq, SID: 1, Bind: 1, Boot: 2,
		UTC0: epoch.UnixMicro(), Source: wire.ClockSystem, Grid: 10, N: len(ticks), First: ticks[0],
		From: us(lo), To: us(hi), Received: us(hi) + 5, Data: wire.AppendColumns(nil, &rows, 10),
	}
}

func read(t testing.TB, s *history.Store, point id.Point, from, to int64, limit int) []history.Reading {
	t.Helper()
	var all []history.Reading
	at := func(tick int64) time.Time { return epoch.Add(time.Duration(tick) * time.Millisecond) }
	for r, err := range s.Read(t.Context(), dev, point, at(from), at(to), limit) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func write(t testing.TB, s *history.Store, seq uint64, p history.Projections) {
	t.Helper()
	if err := s.Write(0, seq, &p); err != nil {
		t.Fatal(err)
	}
}

func ticks(rs []history.Reading) (all []int64) {
	for _, r := range rs {
		all = append(all, r.Tick/tickNanos)
	}
	return all
}

func TestWhatIsWrittenIsReadWithItsIdentityTimeAndBothValues(t *testing.T) {
	s := opened(t)
	a := series(-1)
	write(t, s, 1, history.Projections{Series: []history.Series{a}, Rows: []history.Row{row(a, 1, 7, 10, 23)}})
	got := read(t, s, "count", 0, 100, 0)
	want := []history.Reading{
		{Time: epoch.Add(10 * time.Millisecond), Raw: 10, Value: 1, Unit: "1", Source: wire.ClockSystem, Received: epoch.Add(23*time.Millisecond + 5*time.Microsecond), Run: id.Run{1}, Seq: 7, SID: 1, Row: 0, Tick: 10 * tickNanos},
		{Time: epoch.Add(23 * time.Millisecond), Raw: 23, Value: 2.3, Unit: "1", Quality: wire.Bad, Source: wire.ClockSystem, Received: epoch.Add(23*time.Millisecond + 5*time.Microsecond), Run: id.Run{1}, Seq: 7, SID: 1, Row: 1, Tick: 23 * tickNanos},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if other := read(t, s, "other", 0, 100, 0); len(other) != 2 || other[0].Value != -0.625 || other[0].Unit != "Cel" {
		t.Fatalf("second point %+v", other)
	}
	if none := read(t, s, "nothing", 0, 100, 0); len(none) != 0 {
		t.Fatalf("unknown point gave %v", none)
	}
	info, err := s.Series(dev)
	if err != nil || len(info) != 1 || info[0].Schema != a.Schema || info[0].Body.Columns[0].Point != "count" {
		t.Fatalf("series %+v, %v", info, err)
	}
}

func TestTheRangeIsHalfOpenAndTheLimitIsHeld(t *testing.T) {
	s := opened(t)
	a := series(0)
	write(t, s, 1, history.Projections{Series: []history.Series{a}, Rows: []history.Row{row(a, 1, 1, 0, 10, 20, 30), row(a, 1, 2, 40, 50)}})
	for _, f := range []struct {
		from, to int64
		limit    int
		want     []int64
	}{{0, 60, 0, []int64{0, 10, 20, 30, 40, 50}}, {10, 40, 0, []int64{10, 20, 30}}, {25, 45, 0, []int64{30, 40}}, {0, 60, 2, []int64{0, 10}}, {51, 60, 0, nil}, {30, 30, 0, nil}} {
		if got := ticks(read(t, s, "count", f.from, f.to, f.limit)); !slices.Equal(got, f.want) {
			t.Errorf("from %d to %d limit %d: %v, want %v", f.from, f.to, f.limit, got, f.want)
		}
	}
	if got := ticks(func() (all []history.Reading) {
		for r, err := range s.Read(t.Context(), dev, "count", time.Unix(-1<<60, 0), time.Unix(1<<60, 999_999_999), 0) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		return all
	}()); len(got) != 6 {
		t.Errorf("all times: %v", got)
	}
}

// I1: history is a set keyed by identity. Blocks come in any order, overlap,
// and come again (a replay from any position); what is read is each reading
// once, by time.
func TestBlocksInAnyOrderAndTwiceAreReadOnceInOrderOfTime(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		s := open(t, fmt.Sprintf("%s/%d", dir, n))
		defer func() { _ = s.Close() }()
		two := []history.Series{series(0), series(1)}
		var rows []history.Row
		var want []history.Reading
		for seq := range rapid.IntRange(1, 12).Draw(rt, "blocks") {
			a := two[rapid.IntRange(0, 1).Draw(rt, "series")]
			r := row(a, byte(rapid.IntRange(1, 3).Draw(rt, "run")), uint64(seq)+1, rapid.SliceOfN(rapid.Int64Range(0, 2000), 1, 20).Draw(rt, "ticks")...)
			rows = append(rows, r)
			for i := range r.N {
				want = append(want, history.Reading{Run: r.Run, Seq: r.Seq, Row: i})
			}
		}
		pos := uint64(0)
		for _, r := range rapid.Permutation(slices.Concat(rows, rows)).Draw(rt, "order") {
			pos++
			write(t, s, pos, history.Projections{Series: two, Rows: []history.Row{r}})
		}
		got := read(t, s, "count", 0, 3000, 0)
		if !slices.IsSortedFunc(got, func(a, b history.Reading) int { return a.Time.Compare(b.Time) }) {
			rt.Fatalf("not by time: %v", ticks(got))
		}
		seen := map[history.Reading]int{}
		for _, r := range got {
			if r.Raw*tickNanos != r.Tick {
				rt.Fatalf("value %d at tick %d", r.Raw, r.Tick)
			}
			seen[history.Reading{Run: r.Run, Seq: r.Seq, Row: r.Row}]++
		}
		for _, w := range want {
			if seen[w] != 1 {
				rt.Fatalf("run %s seq %d row %d was read %d times", w.Run, w.Seq, w.Row, seen[w])
			}
		}
		from, to := rapid.Int64Range(0, 2000).Draw(rt, "from"), rapid.Int64Range(0, 2000).Draw(rt, "to")
		inside := slices.DeleteFunc(slices.Clone(got), func(r history.Reading) bool {
			return r.Tick < from*tickNanos || r.Tick >= to*tickNanos
		})
		if part := read(t, s, "count", from, to, 0); !slices.Equal(part, inside) {
			rt.Fatalf("from %d to %d: %v, want %v", from, to, ticks(part), ticks(inside))
		}
	})
}

// I7: the position is stored with the rows; what is at or below it is skipped,
// also after the store was opened again.
func TestWritesAtOrBelowThePositionAreSkippedAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	a := series(0)
	write(t, s, 5, history.Projections{Series: []history.Series{a}, Rows: []history.Row{row(a, 1, 1, 10)}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer func() { _ = s.Close() }()
	if got := s.Position(0); got != 5 {
		t.Fatalf("position %d after a restart", got)
	}
	if got := s.Position(1); got != 0 {
		t.Fatalf("another shard's position is %d", got)
	}
	write(t, s, 5, history.Projections{Rows: []history.Row{row(a, 2, 1, 20)}})
	write(t, s, 3, history.Projections{Rows: []history.Row{row(a, 3, 1, 30)}})
	if got := ticks(read(t, s, "count", 0, 100, 0)); !slices.Equal(got, []int64{10}) {
		t.Fatalf("read %v", got)
	}
	write(t, s, 6, history.Projections{Rows: []history.Row{row(a, 2, 1, 20)}})
	if got := ticks(read(t, s, "count", 0, 100, 0)); !slices.Equal(got, []int64{10, 20}) || s.Position(0) != 6 {
		t.Fatalf("read %v at %d", got, s.Position(0))
	}
}

// I1: what Write returned is there for whoever opens the directory as a killed
// process left it.
func TestAKilledProcessLosesNothingThatWriteReturned(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { _ = s.Close() }()
	a := series(0)
	write(t, s, 3, history.Projections{Series: []history.Series{a}, Rows: []history.Row{row(a, 1, 1, 10)}, Dead: []history.DeadLetter{{At: history.At{Seq: 2}, Site: "hq"}}})
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	second := open(t, left)
	defer func() { _ = second.Close() }()
	if got := ticks(read(t, second, "count", 0, 100, 0)); !slices.Equal(got, []int64{10}) || second.Position(0) != 3 {
		t.Fatalf("read %v at position %d", got, second.Position(0))
	}
}

// A block's index means nothing without its strings: a reading has the text.
func TestTextsAndFloatsAreReadAsTheyWere(t *testing.T) {
	s := opened(t)
	b := wire.Body{Profile: "p", Version: 1, Tick: tickNanos, Columns: []wire.Column{
		{Point: "state", Kind: wire.KindText, Mantissa: 1}, {Point: "ratio", Kind: wire.KindFloat, Mantissa: 1},
	}}
	a := history.Series{Device: dev, Schema: wire.HashBody(b.Append(nil)), Body: b.Append(nil)}
	p := history.Projections{Series: []history.Series{a}}
	said := [][]string{{"idle", "run"}, {"stuck", "idle"}}
	for seq, texts := range said {
		var rows wire.Rows
		first := 10 * int64(1+seq)
		for i, text := range texts {
			v, _ := rows.Text(0, text)
			rows.Append(first+int64(i), 0, []int64{v, int64(math.Float64bits(0.1 * float64(first)))})
		}
		r := row(a, 1, uint64(1+seq), first, first+1)
		r.Data = wire.AppendColumns(nil, &rows, 10)
		p.Rows = append(p.Rows, r)
	}
	write(t, s, 1, p)
	var got []string
	for _, r := range read(t, s, "state", 0, 100, 0) {
		if r.Text == nil || r.Raw != 0 || r.Value != 0 {
			t.Fatalf("a reading of a text is %+v", r)
		}
		got = append(got, *r.Text)
	}
	if want := slices.Concat(said...); !slices.Equal(got, want) {
		t.Errorf("the texts are %q, want %q", got, want)
	}
	if r := read(t, s, "ratio", 0, 100, 0); len(r) != 4 || r[3].Value != 2 || r[3].Text != nil {
		t.Errorf("the floats are %+v", r)
	}
}

func TestABatchLargerThanATransactionIsWrittenWhole(t *testing.T) {
	s := opened(t)
	a := series(0)
	p := history.Projections{Series: []history.Series{a}}
	const blocks, rows = 32, 10_000
	rnd := rand.New(rand.NewPCG(1, 2))
	for seq := range uint64(blocks) {
		first := int64(seq) * rows
		r := row(a, 1, seq+1, first, first+rows-1)
		var noise wire.Rows // no codec makes it small
		for i := range int64(rows) {
			noise.Append(first+i, 0, []int64{rnd.Int64(), rnd.Int64()})
		}
		r.N, r.Data = rows, wire.AppendColumns(nil, &noise, 10)
		p.Rows = append(p.Rows, r)
	}
	if p.Size() < 5_100_000 {
		t.Fatalf("the batch of %d bytes fits in a transaction", p.Size())
	}
	write(t, s, 1, p)
	if n := len(read(t, s, "count", 0, blocks*rows, 0)); n != blocks*rows || s.Position(0) != 1 {
		t.Fatalf("%d readings at %d, want %d", n, s.Position(0), blocks*rows)
	}
}

func TestTheLedgerAndDeadLettersComeBackInJournalOrder(t *testing.T) {
	s := opened(t)
	entry := func(seq uint64, index uint32, why history.Reason) history.Entry {
		return history.Entry{At: history.At{Seq: seq, Index: index}, Site: "hq", Gateway: "gw", Run: id.Run{1}, A: seq, B: seq + 1, Reason: why, Interval: 1000, Time: 5}
	}
	letter := func(seq uint64, site id.Site) history.DeadLetter {
		return history.DeadLetter{At: history.At{Seq: seq}, Site: site, Origin: "hq/gw", Kind: 5, Reason: "crc", Body: []byte{1, 2}}
	}
	write(t, s, 9, history.Projections{
		Ledger: []history.Entry{entry(300, 0, history.Late), entry(9, 1, history.Crash), entry(9, 0, history.Quota)},
		Dead:   []history.DeadLetter{letter(300, "hq"), letter(9, "hq"), letter(10, "lab")},
	})
	var got []history.Entry
	for e, err := range s.Ledger("hq") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff([]history.Entry{entry(9, 0, history.Quota), entry(9, 1, history.Crash), entry(300, 0, history.Late)}, got); diff != "" {
		t.Fatal(diff)
	}
	var dead []uint64
	for d, err := range s.DeadLetters("hq") {
		if err != nil || d.Size != 2 || d.Reason != "crc" {
			t.Fatalf("%+v %v", d, err)
		}
		dead = append(dead, d.At.Seq)
	}
	if !slices.Equal(dead, []uint64{9, 300}) {
		t.Fatalf("dead letters %v", dead)
	}
	for range s.Ledger("h") { // a prefix of a site's name is another site
		t.Fatal("site h has an entry")
	}
}

func TestTheOldestDeadLettersGiveWayToNewOnes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill := func(from, to uint64) {
		var p history.Projections
		for seq := from; seq <= to; seq++ {
			p.Dead = append(p.Dead, history.DeadLetter{At: history.At{Seq: seq}, Site: "hq", Origin: "hq/gw", Reason: "x"})
		}
		write(t, s, to, p)
	}
	fill(1, history.MaxDeadLetters)
	if err := s.Close(); err != nil { // the count must survive
		t.Fatal(err)
	}
	s = open(t, dir)
	defer func() { _ = s.Close() }()
	fill(history.MaxDeadLetters+1, history.MaxDeadLetters+3)
	var first uint64
	n := 0
	for d, err := range s.DeadLetters("hq") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			first = d.At.Seq
		}
	}
	if n != history.MaxDeadLetters || first != 4 {
		t.Fatalf("%d dead letters from %d on", n, first)
	}
}

func TestASecondOpenerGetsAClearError(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { _ = s.Close() }()
	_, err := history.Open(history.Config{Dir: dir}, quiet(), nil)
	if err == nil || !strings.Contains(err.Error(), "Another process is using") || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second Open: %v", err)
	}
}

func TestAStoreOfAnotherFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	change(t, dir, []byte{'f'}, func([]byte) []byte { return []byte{9} })
	if _, err := history.Open(history.Config{Dir: dir}, quiet(), nil); err == nil || !strings.Contains(err.Error(), "format") {
		t.Fatalf("Open: %v", err)
	}
}

// change rewrites the value of every key with the prefix, as a damaged disk
// below Badger's own checks would.
func change(t *testing.T, dir string, prefix []byte, f func([]byte) []byte) {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if err := txn.Set(it.Item().KeyCopy(nil), f(v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAFlippedBitIsAnErrorAndNeverAWrongValue(t *testing.T) {
	for bit := 0; bit < 8*40; bit += 29 {
		dir := t.TempDir()
		s := open(t, dir)
		a := series(0)
		write(t, s, 1, history.Projections{Series: []history.Series{a}, Rows: []history.Row{row(a, 1, 1, 10, 20, 30)}})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		change(t, dir, []byte{'r'}, func(v []byte) []byte { v[bit/8%len(v)] ^= 1 << (bit % 8); return v })
		s = open(t, dir)
		var last error
		for r, err := range s.Read(t.Context(), dev, "count", epoch, epoch.Add(time.Hour), 0) {
			if last = err; err == nil {
				t.Fatalf("bit %d: read %+v", bit, r)
			}
		}
		if last == nil || !strings.Contains(last.Error(), "CRC") {
			t.Fatalf("bit %d: %v", bit, last)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReadEndsWithItsContext(t *testing.T) {
	s := opened(t)
	a := series(0)
	write(t, s, 1, history.Projections{Series: []history.Series{a}, Rows: []history.Row{row(a, 1, 1, 10)}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Read(ctx, dev, "count", epoch, epoch.Add(time.Hour), 0) {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("err %v", err)
		}
	}
}

// I1: rows and position are one batch. A position without its rows would make
// the replay, which brings them again, skip them.
func TestAWriteThatFailsLeavesNeitherRowsNorPosition(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	c := series(0)
	if err := s.Write(0, 1, &history.Projections{Series: []history.Series{c}, Rows: []history.Row{row(c, 1, 1, 10, 20)}}); err != nil {
		t.Fatal(err)
	}
	tooLong := history.Entry{Site: id.Site(strings.Repeat("x", 1<<16)), At: history.At{Seq: 2}} // as a key
	err := s.Write(0, 2, &history.Projections{Rows: []history.Row{row(c, 1, 2, 30, 40)}, Ledger: []history.Entry{tooLong}})
	if err == nil {
		t.Fatal("a key beyond the store's limit was written")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	if got := s.Position(0); got != 1 {
		t.Errorf("position %d after a failed write to 2, want 1", got)
	}
	if got := read(t, s, "count", 0, 100, 0); len(got) != 2 {
		t.Errorf("%d readings, want the 2 of the first write", len(got))
	}
}

// The order that pages rely on: strictly rising by time, run, sequence, sid
// and row, also where ticks within one microsecond fall and where a frame has
// two blocks of one series.
func TestReadingsOfOneInstantHaveOneOrder(t *testing.T) {
	s := opened(t)
	b := wire.Body{Profile: "p", Version: 1, Tick: 1, Columns: []wire.Column{{Point: "count", Unit: "1", Mantissa: 1}}}
	body := b.Append(nil)
	a := history.Series{Device: dev, Schema: wire.HashBody(body), Body: body}
	p := history.Projections{Series: []history.Series{a}}
	for sid := uint32(1); sid <= 3; sid++ {
		var rows wire.Rows
		for _, tick := range []int64{1900, 1500, 1100, 2500, 1300} {
			rows.Append(tick, 0, []int64{tick})
		}
		p.Rows = append(p.Rows, history.Row{
			Device: dev, Schema: a.Schema, Run: id.Run{1}, Seq: 1, SID: sid, UTC0: epoch.UnixMicro(), N: rows.Len(), First: 1900,
			From: epoch.UnixMicro() + 1, To: epoch.UnixMicro() + 2, Data: wire.AppendColumns(nil, &rows, 0),
		})
	}
	write(t, s, 1, p)
	var got []string
	for _, r := range read(t, s, "count", 0, 100, 0) {
		got = append(got, fmt.Sprint(r.Time.Sub(epoch), " ", r.SID, " ", r.Row))
	}
	if len(got) != 15 || !slices.IsSorted(got) {
		t.Fatalf("%d readings: %q", len(got), got)
	}
}

// I5: a device decides itself how its blocks overlap, and not how much memory
// a request takes.
func TestBlocksThatAllOverlapEndAReadAndNotTheMemory(t *testing.T) {
	s := opened(t)
	a := series(0)
	all := make([]int64, wire.MaxRows)
	for i := range all {
		all[i] = int64(i)
	}
	p := history.Projections{Series: []history.Series{a}}
	great := row(a, 1, 1, all...)
	for range 40 {
		p.Rows = append(p.Rows, great)
		great.Seq++
	}
	write(t, s, 1, p)
	var failed error
	for _, err := range s.Read(t.Context(), dev, "count", time.Time{}, time.Unix(1<<60, 0), 10) {
		failed = err
	}
	if failed == nil || !strings.Contains(failed.Error(), "overlap at 2026-01-01T00:00:00Z") {
		t.Fatalf("err %v", failed)
	}
	if got := read(t, s, "count", 1000, 1010, 0); len(got) != 400 { // a narrow range is still answered
		t.Fatalf("%d readings, want 400", len(got))
	}
}
