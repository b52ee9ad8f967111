package history

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
)

// I1, I7: a site moves between two shards, which move between two stores that
// are closed at any moment and fill what they lack in any steps. An owner that
// does not say that it lacks something of the site lacks nothing, and what it
// holds in the end is byte for byte what a store holds that had both shards all
// the time.
func TestAStoreThatAdoptsASiteHoldsTheSameBytesAsOneThatHadItAll(t *testing.T) {
	w := &migrations{now: time.Now(), codec: codec(t)}
	for i := range w.stores {
		w.dirs[i] = t.TempDir()
		w.stores[i] = openAt(t, w.dirs[i], 0)
	}
	rapid.Check(t, w.check)
	for _, s := range w.stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if w.adopted == 0 {
		t.Error("no site was ever adopted")
	}
}

// migrations are two shards with a site each that stays, and one that moves
// between them. The third store has it all. Each check has names of its own.
type migrations struct {
	now     time.Time
	codec   *PartCodec
	dirs    [3]string
	stores  [3]*Store
	checks  int
	adopted int // parts that were filled in for the site

	site   id.Site // that moves
	home   int     // its shard, 0 or 1
	logs   [2][]*bytes.Buffer
	owners [2]int // stores
	past   [2]uint64
}

func (w *migrations) shard(i int) int { return 2*w.checks + i }

func (w *migrations) end(i int) uint64 { return uint64(len(w.logs[i])) }

func (w *migrations) check(t *rapid.T) {
	w.checks++
	w.site, w.home, w.logs, w.owners, w.past = siteOf(-w.checks), 0, [2][]*bytes.Buffer{}, [2]int{}, [2]uint64{}
	var before [3]map[string]string
	for i, s := range w.stores {
		before[i] = s.dump(t)
	}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		shard := rapid.IntRange(0, 1).Draw(t, "shard")
		switch rapid.SampledFrom([]string{"write", "write", "write", "take", "move", "hole", "site", "site", "restart"}).Draw(t, "what") {
		case "write":
			w.write(t, shard)
		case "take":
			w.take(t, shard, rapid.IntRange(0, 1).Draw(t, "node"))
		case "move":
			w.move(t)
		case "hole":
			w.fillHole(t, shard)
		case "site":
			w.fillSite(t, w.owners[shard])
		case "restart":
			node := w.owners[shard]
			if err := w.stores[node].Close(); err != nil {
				t.Fatal(err)
			}
			w.stores[node] = openAt(t, w.dirs[node], 0)
		}
		w.honest(t)
	}
	last := rapid.IntRange(0, 1).Draw(t, "last")
	for shard := range w.logs {
		w.take(t, shard, last)
		for w.fillHole(t, shard) {
		}
	}
	for w.fillSite(t, last) {
	}
	s := w.stores[last]
	if s.Lacks(w.site, w.shard(w.home)) {
		t.Fatal("it still lacks something")
	}
	for shard := range w.logs {
		if sh := s.shards[w.shard(shard)]; sh != nil && sh.dead != countDead(s, w.shard(shard)) {
			t.Fatalf("%d dead letters counted, %d held", sh.dead, countDead(s, w.shard(shard)))
		}
	}
	got, want := w.rows(t, last, before), w.rows(t, 2, before)
	if !maps.Equal(got, want) {
		t.Fatal(cmp.Diff(want, got))
	}
}

// rows returns what a store has got, but for what it notes of itself.
func (w *migrations) rows(t *rapid.T, i int, before [3]map[string]string) map[string]string {
	all := w.stores[i].dump(t)
	maps.DeleteFunc(all, func(key, _ string) bool {
		_, old := before[i][key]
		return old || strings.IndexByte("pho", key[0]) >= 0
	})
	return all
}

// write adds a message to a shard's log: of the site that stays, and of the one
// that moves if it is there.
func (w *migrations) write(t *rapid.T, shard int) {
	seq := w.end(shard) + 1
	all := *left(siteOf(w.shard(shard)), seq, w.now)
	if shard == w.home {
		// A reading keeps its identity in whatever shard it arrives.
		own := left(w.site, seq, w.now)
		for i := range own.Rows {
			own.Rows[i].Run = id.Run{byte(shard)}
		}
		for i := range own.Windows {
			own.Windows[i].Run = id.Run{byte(shard)}
		}
		for i := range own.Dead {
			own.Dead[i].At.Index = 1
		}
		all.Series, all.Rows = append(all.Series, own.Series...), append(all.Rows, own.Rows...)
		all.Ledger, all.Dead = append(all.Ledger, own.Ledger...), append(all.Dead, own.Dead...)
		all.Windows, all.Alarms = append(all.Windows, own.Windows...), append(all.Alarms, own.Alarms...)
	}
	body := new(bytes.Buffer)
	if err := w.codec.Append(body, &all); err != nil {
		t.Fatal(err)
	}
	w.logs[shard] = append(w.logs[shard], body)
	for _, s := range []*Store{w.stores[w.owners[shard]], w.stores[2]} {
		if err := s.Write(w.shard(shard), seq, &all); err != nil {
			t.Fatal(err)
		}
	}
}

// take gives a shard to a store, which adopts the site if it is there.
func (w *migrations) take(t *rapid.T, shard, node int) {
	w.owners[shard] = node
	if err := w.stores[node].OpenHole(w.shard(shard), w.end(shard)); err != nil {
		t.Fatal(err)
	}
	if shard == w.home {
		w.adopt(t)
	}
}

// move moves the site to the other shard, whose owner adopts it.
func (w *migrations) move(t *rapid.T) {
	w.past[w.home] = w.end(w.home)
	w.home = 1 - w.home
	w.adopt(t)
}

func (w *migrations) adopt(t *rapid.T) {
	for from, to := range w.past {
		if err := w.stores[w.owners[w.home]].Adopt(w.site, w.shard(from), to); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *migrations) fillHole(t *rapid.T, shard int) bool {
	s := w.stores[w.owners[shard]]
	hole := s.Hole(w.shard(shard))
	if !hole.Open() {
		return false
	}
	if err := s.Fill(w.part(t, shard, hole)); err != nil {
		t.Fatal(err)
	}
	return true
}

func (w *migrations) fillSite(t *rapid.T, node int) bool {
	s := w.stores[node]
	for _, a := range s.Adoptions() {
		if a.Site != w.site {
			continue // of another check
		}
		p := w.part(t, a.Shard-w.shard(0), Hole{a.After, a.To})
		if err := s.FillSite(p, a.Site); err != nil {
			t.Fatal(err)
		}
		w.adopted++
		return true
	}
	return false
}

// part begins at the lower end of a hole or below, and may end beyond it.
func (w *migrations) part(t *rapid.T, shard int, hole Hole) *Part {
	p := &Part{
		Shard: w.shard(shard), After: hole.After - rapid.Uint64Range(0, min(2, hole.After)).Draw(t, "before"),
		To: min(w.end(shard), hole.After+rapid.Uint64Range(1, 6).Draw(t, "messages")), Time: w.now.UnixMicro(), codec: w.codec,
	}
	for _, body := range w.logs[shard][p.After:p.To] {
		p.Body = append(p.Body, body.Bytes()...)
	}
	return p
}

// honest looks whether the site's owner has what it does not say that it lacks.
func (w *migrations) honest(t *rapid.T) {
	s := w.stores[w.owners[w.home]]
	if s.Lacks(w.site, w.shard(w.home)) {
		return
	}
	if got, want := ledgerOf(t, s, w.site), ledgerOf(t, w.stores[2], w.site); !slices.Equal(got, want) {
		t.Fatalf("it has %v and says that nothing is missing of %v", got, want)
	}
}

func ledgerOf(t *rapid.T, s *Store, site id.Site) (all []Entry) {
	for e, err := range s.Ledger(site) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// I1: what is wanted must be known after a power cut, too, and what was filled in
// is not wanted again.
func TestAnAdoptionIsDurableAndIsNotMadeTwice(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, 0)
	c := codec(t)
	adopt := func(to uint64, want ...Adoption) {
		t.Helper()
		if err := s.Adopt("s3", 3, to); err != nil {
			t.Fatal(err)
		}
		if got := s.Adoptions(); !slices.Equal(got, want) || s.Lacks("s3", 1) != (len(want) > 0) {
			t.Fatalf("it wants %v, want %v", got, want)
		}
	}
	again := func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openAt(t, dir, 0)
	}
	adopt(9, Adoption{"s3", 3, 0, 9})
	again()
	adopt(7, Adoption{"s3", 3, 0, 9})
	if err := s.FillSite(part(t, c, 3, 0, 12, time.Now()), "s3"); err != nil {
		t.Fatal(err)
	}
	again()
	defer func() { _ = s.Close() }()
	adopt(9)
	adopt(14, Adoption{"s3", 3, 9, 14})
	if n := countDead(s, 3); s.shards[3].dead != n || n == 0 {
		t.Fatalf("%d dead letters counted, %d held", s.shards[3].dead, n)
	}
	if err := s.Adopt("other", 3, 9); err != nil {
		t.Fatal(err)
	}
	if err := s.FillSite(part(t, c, 3, 0, 9, time.Now()), "other"); err != nil || s.Lacks("other", 1) {
		t.Fatalf("a site that has no rows in a part lacks them: %v", err)
	}
	if n := countDead(s, 3); s.shards[3].dead != n {
		t.Fatalf("%d dead letters counted, %d held", s.shards[3].dead, n)
	}
	if err := s.FillSite(part(t, c, 3, 10, 14, time.Now()), "s3"); err == nil {
		t.Fatal("a part that leaves a gap was taken")
	}
	if err := s.FillSite(part(t, c, 3, 9, 14, time.Now()), "other"); err == nil {
		t.Fatal("a site was filled that nobody adopted")
	}
	if err := s.Adopt("late", 3, 20); err != nil {
		t.Fatal(err)
	}
	before := len(s.dump(t))
	if err := s.FillSite(part(t, c, 3, 0, 20, time.Now()), "late"); err != nil || len(s.dump(t)) != before {
		t.Fatalf("rows of another site were filled in: %v", err)
	}
}

// What the store wrote itself as the shard's owner is not wanted, nor is it once
// the store has written it.
func TestAStoreAdoptsNothingThatItHas(t *testing.T) {
	s := openAt(t, t.TempDir(), 0)
	defer s.Close()
	write := func(shard int, seq uint64) {
		t.Helper()
		if err := s.Write(shard, seq, left("hq", seq, time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	write(3, 6)
	if err := s.Adopt("hq", 3, 6); err != nil || s.adopted["hq"] != nil {
		t.Fatalf("noted: %v, %v", s.adopted, err)
	}
	if err := s.Adopt("hq", 3, 8); err != nil || !slices.Equal(s.Adoptions(), []Adoption{{"hq", 3, 6, 8}}) {
		t.Fatalf("it wants %v, %v", s.Adoptions(), err)
	}
	write(3, 8)
	if s.Lacks("hq", 1) {
		t.Fatalf("it wants %v", s.Adoptions())
	}
}

// Two shards may write rows of one series at the same time. What says how far
// back a reader must look must be the longer of theirs, after a restart too.
func TestTheLongestBlockOfASeriesIsThatOfAllShards(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, 0)
	dev := id.Device{Site: "hq", Name: "t1"}
	block := func(span int64) *Row {
		return &Row{Device: dev, Schema: id.Schema{1}, N: 1, From: 0, To: span, Data: []byte{1}}
	}
	for shard, span := range []int64{1 << 20, 1 << 12} {
		if _, err := s.shard(shard); err != nil {
			t.Fatal(err)
		}
		w := s.writer(shard)
		if err := w.row(block(span)); err != nil {
			t.Fatal(err)
		}
		if shard == 0 && s.raising.TryLock() {
			t.Fatal("another shard may write a smaller one meanwhile")
		}
		if err := w.commit(func() {}); err != nil {
			t.Fatal(err)
		}
		w.discard()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, 0)
	defer s.Close()
	if got := s.span(seriesOf(dev, id.Schema{1})); got != 1<<20 {
		t.Fatalf("the longest block is of %d us", got)
	}
}
