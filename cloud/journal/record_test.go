package journal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

func sample() []journal.Record {
	return []journal.Record{
		{Kind: journal.KindFrame, Origin: "hq/gw-1", Site: "hq", Body: []byte{0xde, 0xad}},
		{Kind: journal.KindSkip, Origin: "n1", Site: "hq", Body: journal.Skip{Position: journal.Position{Seq: 300, Index: 2}, Reason: 1}.Append(nil)},
		{Kind: journal.KindSnapshot, Origin: "n1", Body: journal.AppendSnapshot(nil, 1<<33)},
	}
}

// The bytes on disk: a change here needs a new envelope version.
func TestTheEnvelopeIsWhatTheDesignSays(t *testing.T) {
	const want = "820183" +
		"85010567" + "68712f67772d31" + "626871" + "42dead" +
		"8501182362" + "6e31" + "626871" + "46" + "8319012c0201" +
		"8501182162" + "6e31" + "60" + "4a" + "811b0000000200000000"
	if got := hex.EncodeToString(journal.AppendMessage(nil, sample())); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestAMessageCutAnywhereIsAnErrorThatNamesThePlace(t *testing.T) {
	msg := journal.AppendMessage(nil, sample())
	for n := range msg {
		_, err := journal.ParseMessage(msg[:n])
		var at *journal.ParseError
		if !errors.As(err, &at) || at.Offset > n {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := journal.ParseMessage(append(msg, 0)); err == nil {
		t.Fatal("a byte after the end was accepted")
	}
}

func TestHostileMessagesAreRefused(t *testing.T) {
	for name, in := range map[string]struct{ hex, want string }{
		"no records":              {"820180", "want 1 to"},
		"a billion records":       {"82019a3b9aca00", "want 1 to"},
		"newer version":           {"820281850105676871", "newer"},
		"longer form of a length": {"82019801850105", "shortest form"},
		"indefinite length":       {"82019f", "definite length"},
		"kind over a byte":        {"8201818501190100", "at most 255"},
		"body beyond the end":     {"8201818501056568712f6777626871" + "5affffffff", "at most"},
		"origin of another site":  {"8201818501056468712f67" + "6162" + "40", "is of another"},
		"record too short":        {"82018184010561", "want 5"},
		"text for bytes":          {"8201818501056468712f67" + "626871" + "60", "major type 3, want 2"},
	} {
		b, err := hex.DecodeString(in.hex)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := journal.ParseMessage(b); err == nil || !strings.Contains(err.Error(), in.want) {
			t.Errorf("%s: %v, want %q", name, err, in.want)
		}
	}
	if _, err := journal.ParseMessage(make([]byte, journal.MaxMessage+1)); err == nil {
		t.Error("a message over the limit was accepted")
	}
}

func label(t *rapid.T, name string) string {
	return rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`).Draw(t, name)
}

func record(t *rapid.T) journal.Record {
	site := label(t, "site")
	r := journal.Record{
		Kind: journal.RecordKind(rapid.IntRange(1, 255).Draw(t, "kind")),
		Body: rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "body"), Site: id.Site(site),
	}
	r.Origin = label(t, "origin")
	if r.Kind.FromGateway() {
		r.Origin = site + "/" + r.Origin
	} else if r.Kind < journal.KindDocument && rapid.Bool().Draw(t, "cluster-wide") {
		r.Site = ""
	}
	return r
}

func TestMessagesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := rapid.SliceOfN(rapid.Custom(record), 1, 30).Draw(t, "records")
		got, err := journal.ParseMessage(journal.AppendMessage(nil, recs))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(recs, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestOwnersBodiesRoundTripAndRefuseWhatFollows(t *testing.T) {
	b := journal.Barrier{Incarnation: 2, Epoch: 1 << 40, Owner: "n1", Previous: 77}
	body := b.Append(nil)
	if got, err := journal.ParseBarrier(body); err != nil || got != b {
		t.Fatalf("barrier: %+v, %v", got, err)
	}
	s := journal.Skip{Position: journal.Position{Seq: 5, Index: 8191}, Reason: 3}
	skip := s.Append(nil)
	if got, err := journal.ParseSkip(skip); err != nil || got != s {
		t.Fatalf("skip: %+v, %v", got, err)
	}
	snapshot := journal.AppendSnapshot(nil, 99)
	if got, err := journal.ParseSnapshot(snapshot); err != nil || got != 99 {
		t.Fatalf("snapshot: %d, %v", got, err)
	}
	parse := map[string]func([]byte) error{
		string(body):     func(b []byte) error { _, err := journal.ParseBarrier(b); return err },
		string(skip):     func(b []byte) error { _, err := journal.ParseSkip(b); return err },
		string(snapshot): func(b []byte) error { _, err := journal.ParseSnapshot(b); return err },
	}
	for body, p := range parse {
		for n := range len(body) {
			if p([]byte(body[:n])) == nil {
				t.Errorf("% x cut at %d was accepted", body, n)
			}
		}
		if p([]byte(body+"\x00")) == nil {
			t.Errorf("% x with a byte more was accepted", body)
		}
	}
	if _, err := journal.ParseSkip(journal.Skip{Position: journal.Position{Index: journal.MaxRecords}}.Append(nil)); err == nil {
		t.Error("a skip beyond any message was accepted")
	}
}

func TestBarriersCompareByIncarnationThenEpoch(t *testing.T) {
	order := []journal.Barrier{{Incarnation: 1, Epoch: 1}, {Incarnation: 1, Epoch: 9}, {Incarnation: 2, Epoch: 1}, {Incarnation: 2, Epoch: 2}}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Compare(b), cmpInt(i, j); got != want {
				t.Errorf("%+v against %+v = %d, want %d", a, b, got, want)
			}
		}
	}
}

func cmpInt(a, b int) int {
	if a < b {
		return -1
	} else if a > b {
		return 1
	}
	return 0
}

// Whatever parses is exactly what AppendMessage writes, so that a message has
// one form only.
func FuzzParseMessage(f *testing.F) {
	f.Add(journal.AppendMessage(nil, sample()))
	f.Add(journal.AppendMessage(nil, []journal.Record{journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}.Record()}))
	f.Add([]byte{0x82, 1, 0x81})
	f.Fuzz(func(t *testing.T, b []byte) {
		recs, err := journal.ParseMessage(b)
		if err != nil {
			return
		}
		if again := journal.AppendMessage(nil, recs); !bytes.Equal(again, b) {
			t.Fatalf("% x was written as % x", b, again)
		}
	})
}

func FuzzParseBarrier(f *testing.F) {
	f.Add(journal.Barrier{Incarnation: 1, Epoch: 2, Owner: "n1", Previous: 3}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		barrier, err := journal.ParseBarrier(b)
		if err == nil && !bytes.Equal(barrier.Append(nil), b) {
			t.Fatalf("% x is not the form of %+v", b, barrier)
		}
	})
}
