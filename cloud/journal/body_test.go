package journal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func sampleIntent() journal.Intent {
	return journal.Intent{
		ID: id.Command{15: 7}, Device: "relay-1", Name: "set",
		Args:   []wire.Arg{{Name: "on", Value: wire.Value{Kind: wire.KindBoolean, Number: 1}}},
		Issued: 1_790_000_000_000_000, Deadline: 1_790_000_030_000_000, By: "eve",
	}
}

// body is a body of the owner's as the tests below see it.
type body interface{ Append(dst []byte) []byte }

// outbox gives a command's id the form of the other bodies.
type outbox id.Command

func (o outbox) Append(dst []byte) []byte { return journal.AppendOutbox(dst, id.Command(o)) }

func parseDocument(b []byte) (body, error)  { m, err := journal.ParseDocument(b); return m, err }
func parseIntent(b []byte) (body, error)    { m, err := journal.ParseIntent(b); return m, err }
func parseDeparture(b []byte) (body, error) { m, err := journal.ParseDeparture(b); return m, err }
func parseArrival(b []byte) (body, error)   { m, err := journal.ParseArrival(b); return m, err }
func parseOutbox(b []byte) (body, error)    { m, err := journal.ParseOutbox(b); return outbox(m), err }

// The bytes on disk: a change here needs a new version of the body. They come
// back as they went; cut anywhere, or with a byte more, they are an error that
// names the place (I6).
func TestTheOwnersBodiesAreWhatTheDesignSays(t *testing.T) {
	for name, c := range map[string]struct {
		body  body
		hex   string
		parse func([]byte) (body, error)
	}{
		"document": {
			journal.Document{Kind: "room", Name: "f1/a", Revision: 300, Text: []byte("x")},
			"8601" + "64726f6f6d" + "6466312f61" + "19012c" + "00" + "4178", parseDocument,
		},
		"deleted document": {
			journal.Document{Kind: "pipeline", Name: "heat", Revision: 301, Deleted: true, Text: []byte{}},
			"8601" + "68706970656c696e65" + "6468656174" + "19012d" + "01" + "40", parseDocument,
		},
		"intent": {
			sampleIntent(),
			"8801" + "5000000000000000000000000000000007" + "6772656c61792d31" + "63736574" + "468182626f6ef5" +
				"1b00065bfeda25e000" + "1b00065bfedbefa380" + "63657665", parseIntent,
		},
		"departure": {journal.Departure{To: 3, Revision: 300}, "8301" + "03" + "19012c", parseDeparture},
		"arrival": {
			journal.Arrival{From: 2, At: 77, Digest: [32]byte{31: 9}, Revision: 301},
			"8501" + "02" + "184d" + "5820" + strings.Repeat("00", 31) + "09" + "19012d", parseArrival,
		},
		"outbox": {outbox{15: 7}, "8201" + "5000000000000000000000000000000007", parseOutbox},
	} {
		b := c.body.Append(nil)
		if got := hex.EncodeToString(b); got != c.hex {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.hex)
		}
		back, err := c.parse(b)
		if diff := cmp.Diff(c.body, back); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		for n := range b {
			var at *journal.ParseError
			if _, err := c.parse(b[:n]); !errors.As(err, &at) || at.Offset > n {
				t.Errorf("%s cut at %d: %v", name, n, err)
			}
		}
		if _, err := c.parse(append(b, 0)); err == nil {
			t.Errorf("%s: a byte after the end was accepted", name)
		}
		b[1] = 2
		if _, err := c.parse(b); err == nil || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("%s of version 2: %v", name, err)
		}
	}
}

func TestBodiesOutsideTheContractAreRefusedWithThePlace(t *testing.T) { // I6
	document := func(change func(m *journal.Document)) []byte {
		m := journal.Document{Kind: "room", Name: "kitchen", Revision: 1, Text: []byte("x")}
		change(&m)
		return m.Append(nil)
	}
	intent := func(change func(m *journal.Intent)) []byte {
		m := sampleIntent()
		change(&m)
		return m.Append(nil)
	}
	for name, c := range map[string]struct {
		body  []byte
		parse func([]byte) (body, error)
		want  string
	}{
		"kind":              {document(func(m *journal.Document) { m.Kind = "site" }), parseDocument, `kind "site"`},
		"long kind":         {document(func(m *journal.Document) { m.Kind = strings.Repeat("k", 99) }), parseDocument, "kind: 99 bytes"},
		"room's name":       {document(func(m *journal.Document) { m.Name = "a//b" }), parseDocument, "part 3"},
		"pipeline's name":   {document(func(m *journal.Document) { m.Kind, m.Name = "pipeline", "a/b" }), parseDocument, `pipeline "site/a/b"`},
		"long text":         {document(func(m *journal.Document) { m.Text = make([]byte, journal.MaxText+1) }), parseDocument, "text: 65537 bytes"},
		"deleted with text": {document(func(m *journal.Document) { m.Deleted = true }), parseDocument, "deleted"},
		"device":            {intent(func(m *journal.Intent) { m.Device = "hq/r1" }), parseIntent, `device "site/hq/r1"`},
		"command's name":    {intent(func(m *journal.Intent) { m.Name = "Set" }), parseIntent, `"Set"`},
		"arg":               {intent(func(m *journal.Intent) { m.Args[0].Name = "" }), parseIntent, "arg name"},
		"number": {intent(func(m *journal.Intent) {
			m.Args[0].Value = wire.Value{Kind: wire.KindNumber, Number: math.NaN()}
		}), parseIntent, "arg value"},
		"deadline before issued": {intent(func(m *journal.Intent) { m.Deadline = m.Issued - 1 }), parseIntent, "deadline"},
		"deadline too late":      {intent(func(m *journal.Intent) { m.Deadline = m.Issued + wire.MaxRemaining*1000 + 1 }), parseIntent, "deadline"},
		"time before 1970":       {intent(func(m *journal.Intent) { m.Issued = -1 }), parseIntent, "issued"},
		"by":                     {intent(func(m *journal.Intent) { m.By = "\xff" }), parseIntent, "by: is not UTF-8"},
		"long by":                {intent(func(m *journal.Intent) { m.By = strings.Repeat("b", wire.MaxText+1) }), parseIntent, "by: 257 bytes"},
		"short id":               {[]byte{0x82, 1, 0x41, 1}, parseOutbox, "id: 1 bytes"},
	} {
		_, err := c.parse(c.body)
		var at *journal.ParseError
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A command or a document belongs to a site; a record of one without it would
// be nobody's.
func TestRecordsOfASiteNameIt(t *testing.T) {
	for _, kind := range []journal.RecordKind{journal.KindDocument, journal.KindIntent, journal.KindOutbox} {
		r := journal.Record{Kind: kind, Origin: "n1", Site: "hq"}
		if err := r.Check(); err != nil {
			t.Error(err)
		}
		r.Site = ""
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), kind.String()) {
			t.Errorf("%s without a site: %v", kind, err)
		}
	}
	r := journal.Record{Kind: journal.KindResult, Origin: "n1", Site: "hq"}
	if err := r.Check(); err == nil {
		t.Error("a result from a node was accepted")
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add(journal.Document{Kind: "room", Name: "f1/a", Revision: 300, Text: []byte("x")}.Append(nil))
	f.Add(journal.Document{Kind: "pipeline", Name: "heat", Revision: 1, Deleted: true}.Append(nil))
	fuzzBody(f, parseDocument)
}

func FuzzParseIntent(f *testing.F) {
	f.Add(sampleIntent().Append(nil))
	fuzzBody(f, parseIntent)
}

func FuzzParseOutbox(f *testing.F) {
	f.Add(journal.AppendOutbox(nil, id.Command{1}))
	fuzzBody(f, parseOutbox)
}

// fuzzBody demands that what is read has one form, and that the rest is an
// error that names the place.
func fuzzBody(f *testing.F, parse func([]byte) (body, error)) {
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		var at *journal.ParseError
		switch {
		case err == nil:
			if again := m.Append(nil); !bytes.Equal(again, b) {
				t.Fatalf("% x was written as % x", b, again)
			}
		case !errors.As(err, &at):
			t.Fatalf("an error without a place: %v", err)
		}
	})
}
