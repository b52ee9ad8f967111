package history_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

const minute = int64(60_000_000)

// window is the n-th minute of a device, with the given rows; run 0 is the
// main part.
func window(device string, n int64, run byte, seq uint64, values ...float64) history.Window {
	w := history.Window{
		Site: "hq", Pipeline: "mean", Revision: 3, Device: device, Stage: 1,
		Start: epoch.UnixMicro() + n*minute, End: epoch.UnixMicro() + (n+1)*minute, Run: id.Run{run}, Seq: seq,
	}
	for i, v := range values {
		w.Part.Add(w.Start+int64(seq)*1000+int64(i), v)
	}
	return w
}

func windows(t testing.TB, s *history.Store, device string, from, to int64, limit int) []history.Window {
	t.Helper()
	return windowsOf(t, s, 3, device, from, to, limit)
}

func windowsOf(t testing.TB, s *history.Store, revision uint64, device string, from, to int64, limit int) []history.Window {
	t.Helper()
	var all []history.Window
	at := func(n int64) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }
	for w, err := range s.Windows(t.Context(), "hq", "mean", revision, device, at(from), at(to), limit) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

func starts(ws []history.Window) (all []string) {
	for _, w := range ws {
		all = append(all, fmt.Sprintf("%s/%d/%d:%d", w.Device, w.Stage, (w.Start-epoch.UnixMicro())/minute, w.Part.Count))
	}
	return all
}

func TestAWindowIsReadWithItsLatePartsMerged(t *testing.T) {
	s := opened(t)
	write(t, s, 1, history.Projections{Windows: []history.Window{window("t1", 0, 0, 0, 20, 22), window("t1", 1, 0, 0, 30)}})
	write(t, s, 2, history.Projections{Windows: []history.Window{window("t1", 0, 7, 5, 10), window("t1", 0, 7, 6, 28)}})
	write(t, s, 3, history.Projections{Windows: []history.Window{window("t1", 2, 7, 7, 40)}}) // its main part has aged
	want := window("t1", 0, 0, 0)
	want.Part = pipeline.Partial{
		Count: 4, Sum: 80, Min: 10, Max: 28, First: 20, Last: 28, FirstAt: want.Start, LastAt: want.Start + 6000,
	}
	got := windows(t, s, "t1", 0, 10, 0)
	late := window("t1", 2, 7, 7, 40)
	late.Run, late.Seq = id.Run{}, 0
	if diff := cmp.Diff([]history.Window{want, window("t1", 1, 0, 0, 30), late}, got); diff != "" {
		t.Fatal(diff)
	}
	if mean := got[0].Part.Mean(); mean != 20 {
		t.Fatalf("mean %v", mean)
	}
}

func TestWindowsOfOtherDevicesPipelinesAndRevisionsStayApart(t *testing.T) {
	s := opened(t)
	other := func(change func(*history.Window)) history.Window {
		w := window("t1", 0, 0, 0, 99)
		change(&w)
		return w
	}
	write(t, s, 1, history.Projections{Windows: []history.Window{
		window("t1", 0, 0, 0, 1), window("t10", 0, 0, 0, 2), window("t", 0, 0, 0, 3),
		other(func(w *history.Window) { w.Site = "hq2" }),
		other(func(w *history.Window) { w.Pipeline = "mean2" }),
		other(func(w *history.Window) { w.Pipeline = "mea" }),
		other(func(w *history.Window) { w.Revision = 4 }),
		other(func(w *history.Window) { w.Stage = 2 }),
	}})
	if got := starts(windows(t, s, "t1", 0, 1, 0)); !slices.Equal(got, []string{"t1/1/0:1", "t1/2/0:1"}) {
		t.Fatalf("t1: %q", got)
	}
	if got := windows(t, s, "t1", 0, 1, 1); got[0].Part.Max != 1 {
		t.Fatalf("another pipeline's rows were merged in: %+v", got)
	}
	if got := starts(windows(t, s, "", 0, 1, 0)); !slices.Equal(got, []string{"t/1/0:1", "t1/1/0:1", "t1/2/0:1", "t10/1/0:1"}) {
		t.Fatalf("all devices: %q", got)
	}
	if got := windows(t, s, "t2", 0, 1, 0); got != nil {
		t.Fatalf("an unknown device: %v", got)
	}
}

// I1, I7: whatever parts come, in any order and again after a replay, each row
// of a window counts once; and a range gives the windows that begin in it.
func TestPartsInAnyOrderAndTwiceCountOnce(t *testing.T) {
	s := opened(t)
	pos, revision := uint64(0), uint64(100) // each check is a revision of its own
	rapid.Check(t, func(rt *rapid.T) {
		revision++
		var parts []history.Window
		want := map[string]*history.Window{}
		for i := range rapid.IntRange(0, 20).Draw(rt, "parts") {
			// The first of a window is its main part; values are whole, so that
			// the sum is the same in any order.
			w := window(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device"), rapid.Int64Range(-3, 3).Draw(rt, "start"), 0, 0)
			w.Revision, w.Stage = revision, rapid.SampledFrom([]int{0, 1, 255}).Draw(rt, "stage")
			key := fmt.Sprint(w.Device, w.Stage, w.Start)
			if want[key] != nil {
				w.Run, w.Seq = id.Run{byte(i % 3)}, uint64(i)+1
			}
			for _, v := range rapid.SliceOfN(rapid.IntRange(-5, 5), 1, 3).Draw(rt, "values") {
				w.Part.Add(w.Start+rapid.Int64Range(0, 9).Draw(rt, "at"), float64(v))
			}
			parts = append(parts, w)
			if want[key] == nil {
				whole := w
				want[key] = &whole
			} else {
				want[key].Part.Merge(w.Part)
			}
		}
		for _, w := range rapid.Permutation(slices.Concat(parts, parts)).Draw(rt, "order") {
			pos++
			write(t, s, pos, history.Projections{Windows: []history.Window{w}})
		}
		from, to := rapid.Int64Range(-4, 4).Draw(rt, "from"), rapid.Int64Range(-4, 4).Draw(rt, "to")
		device := rapid.SampledFrom([]string{"a", "b", ""}).Draw(rt, "of")
		var inside []history.Window
		for _, w := range want {
			if at := (w.Start - epoch.UnixMicro()) / minute; at >= from && at < to && (device == "" || device == w.Device) {
				inside = append(inside, *w)
			}
		}
		slices.SortFunc(inside, func(a, b history.Window) int {
			key := func(w history.Window) []int64 { return []int64{int64(w.Device[0]), int64(w.Stage), w.Start} }
			return slices.Compare(key(a), key(b))
		})
		if diff := cmp.Diff(inside, windowsOf(t, s, revision, device, from, to, 0)); diff != "" {
			rt.Fatal(diff)
		}
		limit := rapid.IntRange(1, 5).Draw(rt, "limit")
		if part := windowsOf(t, s, revision, device, from, to, limit); !cmp.Equal(part, inside[:min(limit, len(inside))]) {
			rt.Fatalf("limit %d: %q", limit, starts(part))
		}
	})
}

func TestWindowsThatCannotBeAreRefusedAndNothingIsWritten(t *testing.T) {
	s := opened(t)
	for _, change := range []func(*history.Window){
		func(w *history.Window) { w.Stage = 256 },
		func(w *history.Window) { w.Stage = -1 },
		func(w *history.Window) { w.End = w.Start },
		func(w *history.Window) { w.Part = pipeline.Partial{} },
	} {
		w := window("t1", 0, 0, 0, 1)
		change(&w)
		err := s.Write(0, 1, &history.Projections{Windows: []history.Window{window("t1", 1, 0, 0, 1), w}})
		if err == nil || !strings.Contains(err.Error(), "window of hq/mean for t1") {
			t.Errorf("%+v: %v", w, err)
		}
	}
	if got := windows(t, s, "", 0, 10, 0); got != nil || s.Position(0) != 0 {
		t.Fatalf("left %v at %d", got, s.Position(0))
	}
}

// What changed on the disk is an error that names the part.
func TestAFlippedBitInAWindowIsAnErrorThatNamesIt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	write(t, s, 1, history.Projections{
		Windows: []history.Window{window("t1", 0, 0, 0, 1), window("t1", 1, 7, 5, 2)},
		Alarms:  []history.AlarmEntry{alarm(1, 2, pipeline.Active)},
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flip := func(v []byte) []byte { v[3] ^= 4; return v }
	change(t, dir, append([]byte("v"), "hq\x00mean\x00\x00\x00\x00\x00\x00\x00\x00\x03t1\x00\x01"...), flip)
	change(t, dir, []byte("a"), flip)
	s = open(t, dir)
	defer func() { _ = s.Close() }()
	var failed error
	for w, err := range s.Windows(t.Context(), "hq", "mean", 3, "t1", epoch, epoch.Add(time.Hour), 0) {
		if failed = err; err == nil {
			t.Fatalf("read %+v", w)
		}
	}
	const want = "history: windows of hq/mean revision 3: t1 stage 1 from 2026-01-01T00:00:00Z, run 0000000000000000 seq 0: wrong CRC"
	if failed == nil || !strings.HasPrefix(failed.Error(), want) {
		t.Fatalf("got %v", failed)
	}
	for e, err := range s.AlarmLog("hq") {
		if failed = err; err == nil {
			t.Fatalf("read %+v", e)
		}
	}
	if want := "history: alarm log of hq: shard 0, record 1/2, number 0: wrong CRC"; !strings.HasPrefix(failed.Error(), want) {
		t.Fatalf("got %v", failed)
	}
}

func TestAReadOfWindowsEndsWithItsContext(t *testing.T) {
	s := opened(t)
	write(t, s, 1, history.Projections{Windows: []history.Window{window("t1", 0, 0, 0, 1)}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Windows(ctx, "hq", "mean", 3, "t1", epoch, epoch.Add(time.Hour), 0) {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("err %v", err)
		}
	}
}

func alarm(seq uint64, index uint32, state pipeline.AlarmState) history.AlarmEntry {
	return history.AlarmEntry{
		At: history.At{Seq: seq, Index: index}, Site: "hq", Pipeline: "too-warm", Revision: 3, Device: "t1", Stage: 2,
		State: state, Time: epoch.UnixMicro() + int64(seq), Value: 26.5, Threshold: 26, Severity: "warning", Text: "too warm",
	}
}

func TestTheAlarmLogComesBackInJournalOrderOfItsSite(t *testing.T) {
	s := opened(t)
	other := alarm(2, 0, pipeline.Active)
	other.Site = "hq2"
	p := history.Projections{Alarms: []history.AlarmEntry{alarm(300, 1, pipeline.Inactive), alarm(300, 0, pipeline.Active), alarm(9, 0, pipeline.Active), other}}
	write(t, s, 300, p)
	write(t, s, 301, p) // a replay that begins below
	var got []history.AlarmEntry
	for e, err := range s.AlarmLog("hq") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	want := []history.AlarmEntry{alarm(9, 0, pipeline.Active), alarm(300, 0, pipeline.Active), alarm(300, 1, pipeline.Inactive)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for range s.AlarmLog("h") {
		t.Fatal("site h has an alarm")
	}
}

func TestWindowsAndAlarmsAgeAsReadingsDo(t *testing.T) {
	dir := t.TempDir()
	s, err := history.Open(history.Config{Dir: dir, Retention: time.Hour}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, 1, history.Projections{Windows: []history.Window{window("t1", 0, 0, 0, 1)}, Alarms: []history.AlarmEntry{alarm(1, 0, pipeline.Active)}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"v", "a"} {
		if ttl := expires(t, dir, prefix); ttl <= 0 || ttl > time.Hour {
			t.Errorf("keys of %q expire in %v", prefix, ttl)
		}
	}
}

// A late part never outlives its window: alone it would be read as the whole.
func TestALatePartGoesNoLaterThanItsWindow(t *testing.T) {
	dir := t.TempDir()
	s, err := history.Open(history.Config{Dir: dir, Retention: time.Hour}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	late := window("t1", 0, 7, 1, 20)
	late.Start, late.End = time.Now().Add(-time.Hour).UnixMicro(), time.Now().Add(-time.Hour/2).UnixMicro()
	gone := window("t2", 0, 7, 1, 20)
	main := window("t2", 0, 0, 0, 20)
	write(t, s, 1, history.Projections{Windows: []history.Window{late, gone, main}})
	if got := windows(t, s, "t2", 0, 10, 0); len(got) != 1 || got[0].Part.Count != 1 {
		t.Fatalf("the part of a window that is older than an hour was kept: %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if ttl := expires(t, dir, "v"); ttl <= 0 || ttl > time.Hour/2 {
		t.Fatalf("the part expires in %v, its window in at least %v", ttl, time.Hour/2)
	}
}

// expires says in how long the first key of a prefix goes away.
func expires(t *testing.T, dir, prefix string) (in time.Duration) {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_ = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix)})
		defer it.Close()
		if it.Rewind(); it.Valid() {
			in = time.Until(time.Unix(int64(it.Item().ExpiresAt()), 0))
		}
		return nil
	})
	return in
}

// A store that an older program wrote, with nothing but its format and its
// position, takes windows and keeps what it has.
func TestAStoreWithoutWindowsTakesThem(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	a := series(0)
	write(t, s, 5, history.Projections{Series: []history.Series{a}, Rows: []history.Row{row(a, 1, 1, 10)}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, dir, []byte("f"), func([]byte) []byte { return []byte{1} }) // the format of the first release
	s = open(t, dir)
	defer func() { _ = s.Close() }()
	if got := windows(t, s, "", 0, 10, 0); got != nil {
		t.Fatalf("windows %v", got)
	}
	write(t, s, 6, history.Projections{Windows: []history.Window{window("t1", 0, 0, 0, 1)}})
	if len(windows(t, s, "", 0, 10, 0)) != 1 || len(read(t, s, "count", 0, 100, 0)) != 1 || s.Position(0) != 6 {
		t.Fatal("the old rows, the new window or the position are lost")
	}
}

// A day of a device's minutes, every tenth with a late part, among 20 devices.
func BenchmarkADayOfMinutes(b *testing.B) {
	s := opened(b)
	const day = 24 * 60
	for d := range 20 {
		var p history.Projections
		device := fmt.Sprintf("t%d", d)
		for n := range int64(day) {
			p.Windows = append(p.Windows, window(device, n, 0, 0, 20, 21, 22))
			if n%10 == 0 {
				p.Windows = append(p.Windows, window(device, n, 1, 1, 23))
			}
		}
		write(b, s, uint64(d)+1, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := len(windows(b, s, "t10", 0, day, 0)); got != day {
			b.Fatalf("%d windows", got)
		}
	}
}
