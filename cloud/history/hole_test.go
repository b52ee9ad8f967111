package history

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

func openAt(t interface{ Fatal(...any) }, dir string, retention time.Duration) *Store {
	s, err := Open(Config{Dir: dir, Retention: retention}, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dump returns all that a store holds.
func (s *Store) dump(t interface{ Fatal(...any) }) map[string]string {
	all := make(map[string]string)
	err := s.db.View(func(txn *badger.Txn) error {
		return scan(txn, nil, func(key, value []byte) error { all[string(key)] = string(value); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// left is what message seq of a site leaves: something of each kind, and now and
// then nothing.
func left(site id.Site, seq uint64, at time.Time) *Projections {
	if seq%5 == 0 {
		return new(Projections)
	}
	us, at1 := at.UnixMicro(), At{Seq: seq}
	dev := id.Device{Site: site, Name: fmt.Sprint("t", seq%3)}
	return &Projections{
		Series: []Series{{Device: dev, Schema: id.Schema{1}, Body: []byte("body")}},
		Rows: []Row{{
			Device: dev, Schema: id.Schema{1}, Run: id.Run{1}, Seq: seq, N: 1, From: us - int64(seq)*1500, To: us,
			Received: us, Data: bytes.Repeat([]byte{byte(seq)}, 20),
		}},
		Ledger:  []Entry{{At: at1, Site: site, A: seq, B: seq, Reason: Missing}},
		Dead:    []DeadLetter{{At: at1, Site: site, Reason: "a text \xff", Body: []byte{byte(seq)}}},
		Windows: []Window{{Site: site, Pipeline: "p", Device: dev.Name, Start: int64(seq), End: us, Part: pipeline.Partial{Count: seq, Sum: 0.1}}},
		Alarms:  []AlarmEntry{{At: at1, Site: site, Value: 0.5}},
	}
}

func siteOf(shard int) id.Site { return id.Site(fmt.Sprint("s", shard)) }

func codec(t interface{ Fatal(...any) }) *PartCodec {
	c, err := NewPartCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// part is that of the messages after one up to another, through its bytes.
func part(t interface{ Fatal(...any) }, c *PartCodec, shard int, after, to uint64, at time.Time) *Part {
	var body bytes.Buffer
	for seq := after + 1; seq <= to; seq++ {
		if err := c.Append(&body, left(siteOf(shard), seq, at)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := c.Seal(&Part{Shard: shard, After: after, To: to, Time: at.UnixMicro(), Body: body.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// I1, I7: a shard moves between two stores, which are closed at any moment and
// fill what they lack in any steps. What each holds in the end is byte for byte
// what a store holds that had it all the time.
func TestAStoreThatIsFilledHoldsTheSameBytesAsOneThatHadItAll(t *testing.T) {
	w := &moves{now: time.Now(), codec: codec(t)}
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
}

// moves are two stores between which a shard moves, and a third that has it all.
// Each check has a shard of its own.
type moves struct {
	now    time.Time
	codec  *PartCodec
	dirs   [3]string
	stores [3]*Store
	shard  int
	end    uint64 // of the shard's log
}

func (w *moves) check(t *rapid.T) {
	w.shard++
	w.end = 0
	var before [3]map[string]string
	for i, s := range w.stores {
		before[i] = s.dump(t)
	}
	for range rapid.IntRange(1, 4).Draw(t, "moves") {
		w.serve(t, rapid.IntRange(0, 1).Draw(t, "node"))
	}
	var held [3]map[string]string
	for i, s := range w.stores {
		if err := s.OpenHole(w.shard, w.end); err != nil {
			t.Fatal(err)
		}
		for s.Hole(w.shard).Open() {
			w.fill(t, s)
		}
		held[i] = s.dump(t)
		maps.DeleteFunc(held[i], func(key, _ string) bool { _, ok := before[i][key]; return ok })
		if sh := s.shards[w.shard]; sh != nil && sh.dead != countDead(s, w.shard) {
			t.Fatalf("%d dead letters counted, %d held", sh.dead, countDead(s, w.shard))
		}
	}
	for _, got := range held[:2] {
		if !maps.Equal(got, held[2]) {
			t.Fatalf("after %d messages: %s", w.end, cmp.Diff(held[2], got))
		}
	}
}

func (w *moves) serve(t *rapid.T, node int) {
	if err := w.stores[node].OpenHole(w.shard, w.end); err != nil {
		t.Fatal(err)
	}
	for range rapid.IntRange(0, 5).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"write", "write", "write", "fill", "fill", "restart"}).Draw(t, "what") {
		case "write":
			w.end++
			for _, s := range []*Store{w.stores[node], w.stores[2]} {
				if err := s.Write(w.shard, w.end, left(siteOf(w.shard), w.end, w.now)); err != nil {
					t.Fatal(err)
				}
			}
		case "fill":
			if w.stores[node].Hole(w.shard).Open() {
				w.fill(t, w.stores[node])
			}
		case "restart":
			if err := w.stores[node].Close(); err != nil {
				t.Fatal(err)
			}
			w.stores[node] = openAt(t, w.dirs[node], 0)
		}
	}
}

// fill takes one part, which may begin below the hole and end beyond it.
func (w *moves) fill(t *rapid.T, s *Store) {
	hole, position := s.Hole(w.shard), s.Position(w.shard)
	after := hole.After - rapid.Uint64Range(0, min(2, hole.After)).Draw(t, "before")
	to := min(w.end, hole.After+rapid.Uint64Range(1, 6).Draw(t, "messages"))
	if err := s.Fill(part(t, w.codec, w.shard, after, to, w.now)); err != nil {
		t.Fatal(err)
	}
	want := Hole{to, hole.To}
	if !want.Open() {
		want = Hole{}
	}
	if got := s.Hole(w.shard); got != want || s.Position(w.shard) != position {
		t.Fatalf("the hole was %v at %d, is %v at %d", hole, position, got, s.Position(w.shard))
	}
}

func countDead(s *Store, shard int) (n int) {
	_ = s.db.View(func(txn *badger.Txn) error { n = countKeys(txn, deadShard(shard)); return nil })
	return n
}

// I1: what the store skipped must be known as missing after a power cut, too.
func TestAPositionThatWasMovedWithoutRowsLeavesAHole(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, 0)
	if err := s.OpenHole(0, 9); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, 0)
	defer s.Close()
	if s.Position(0) != 9 || s.Hole(0) != (Hole{0, 9}) {
		t.Fatalf("position %d, hole %v", s.Position(0), s.Hole(0))
	}
	if err := s.OpenHole(0, 5); err != nil || s.Hole(0) != (Hole{0, 9}) {
		t.Fatalf("a hole below the position: %v, %v", s.Hole(0), err)
	}
}

// I1: the hole is smaller only when the rows are there.
func TestAFillThatFailsLeavesTheHole(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, 0)
	if err := s.OpenHole(0, 9); err != nil {
		t.Fatal(err)
	}
	c := codec(t)
	var body bytes.Buffer
	tooLong := &Projections{Ledger: []Entry{{Site: id.Site(strings.Repeat("x", 1<<16))}}} // as a key
	for _, p := range []*Projections{left("hq", 1, time.Now()), tooLong} {
		if err := c.Append(&body, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Fill(&Part{To: 9, Body: body.Bytes(), codec: c}); err == nil {
		t.Fatal("a key beyond the store's limit was written")
	}
	if err := s.Fill(&Part{After: 3, To: 9}); err == nil {
		t.Fatal("a part that leaves a gap filled the hole")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, 0)
	defer s.Close()
	if s.Hole(0) != (Hole{0, 9}) {
		t.Fatalf("the hole is %v", s.Hole(0))
	}
}

// Rows that are filled in go when they would have gone where they were written.
func TestRowsThatAreFilledInAgeFromWhenTheyWereProjected(t *testing.T) {
	s := openAt(t, t.TempDir(), time.Hour)
	defer s.Close()
	if err := s.OpenHole(0, 6); err != nil {
		t.Fatal(err)
	}
	c := codec(t)
	if err := s.Fill(part(t, c, 0, 0, 3, time.Now().Add(-2*time.Hour))); err != nil {
		t.Fatal(err)
	}
	half := time.Now().Add(-30 * time.Minute)
	if err := s.Fill(part(t, c, 0, 3, 6, half)); err != nil {
		t.Fatal(err)
	}
	rows := 0
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyRow}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			rows++
			if end := time.Unix(int64(it.Item().ExpiresAt()), 0); end.After(half.Add(time.Hour + time.Minute)) {
				t.Errorf("a row of %v is kept until %v", half, end)
			}
		}
		return nil
	})
	if err != nil || rows != 2 { // 4 and 6
		t.Fatalf("%d rows, %v", rows, err)
	}
	if len(s.known) != 3 || s.Hole(0).Open() {
		t.Fatalf("%d series, hole %v", len(s.known), s.Hole(0))
	}
}

func TestAPartThatIsDamagedOrOfAnotherVersionIsRefused(t *testing.T) {
	c := codec(t)
	data, err := c.Seal(&Part{To: 3, Body: part(t, c, 0, 0, 3, time.Now()).Body})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1, len(data) / 2, len(data) - 1} {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if _, err := c.Open(bad); !errors.Is(err, ErrPartDamaged) {
			t.Errorf("byte %d changed: %v", at, err)
		}
		if _, err := c.Open(data[:at]); !errors.Is(err, ErrPartDamaged) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	if _, err := c.Open(resealed(append([]byte{partVersion + 1}, data[1:]...))); !errors.Is(err, ErrPartVersion) {
		t.Errorf("another version: %v", err)
	}
}

// resealed makes the digest of changed bytes right.
func resealed(data []byte) []byte {
	body := data[:len(data)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

// FuzzPart reads parts whose digest is right and whose bytes are not ours: an
// error or projections, never a panic (I6).
func FuzzPart(f *testing.F) {
	c := codec(f)
	data, err := c.Seal(&Part{To: 3, Body: part(f, c, 0, 0, 3, time.UnixMicro(1)).Body})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:len(data)-sha256.Size])
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		p, err := c.Open(append(bytes.Clone(b), sum[:]...))
		if err == nil {
			_ = p.Each(func(*Projections) error { return nil })
		}
	})
}
