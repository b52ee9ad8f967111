package envelope_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

func drawRequest(t *rapid.T) *envelope.Request {
	name := rapid.StringOfN(rapid.Rune(), 1, 20, envelope.MaxName)
	r := &envelope.Request{
		Mode:     envelope.Mode(rapid.IntRange(0, 2).Draw(t, "mode")),
		Line:     rapid.Uint64().Draw(t, "line"),
		Seq:      rapid.Uint64Min(1).Draw(t, "seq"),
		Patience: rapid.Uint64Range(0, 60_000).Draw(t, "patience"),
	}
	r.Settled = rapid.Uint64Range(0, r.Seq-1).Draw(t, "settled")
	n := 1
	if r.Mode == envelope.Tell {
		n = rapid.IntRange(1, 5).Draw(t, "n")
	}
	for range n {
		r.Messages = append(r.Messages, envelope.Message{
			ID:     name.Draw(t, "id"),
			Type:   name.Draw(t, "type"),
			Answer: name.Draw(t, "answer"),
			Lane:   uint8(rapid.IntRange(0, 3).Draw(t, "lane")),
			Hops:   uint8(rapid.IntRange(1, envelope.MaxHops).Draw(t, "hops")),
			Body:   rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"),
		})
	}
	return r
}

func TestARequestArrivesAsItWasSentAndNoPartOfItDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRequest(t)
		b := want.Append(nil)
		got, err := envelope.ParseRequest(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		size := envelope.RequestHead
		for i := range want.Messages {
			size += want.Messages[i].Size()
		}
		if len(b) > size {
			t.Fatalf("%d bytes, which Size says are at most %d", len(b), size)
		}
		if _, err := envelope.ParseRequest(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("a cut request was parsed")
		}
		if _, err := envelope.ParseRequest(append(b, 0)); err == nil {
			t.Fatal("a request with something behind it was parsed")
		}
	})
}

func TestAnAnswerStandsForEachMessageOrForAll(t *testing.T) {
	receipts := []envelope.Receipt{
		{Outcome: envelope.Accepted, Body: []byte("42")},
		{Outcome: envelope.BadBody, Text: strings.Repeat("x", 2*envelope.MaxText), Body: []byte{}},
	}
	b := envelope.AppendAnswer(nil, receipts)
	got, err := envelope.ParseAnswer(b, 2)
	if err != nil {
		t.Fatal(err)
	}
	receipts[1].Text = receipts[1].Text[:envelope.MaxText]
	if diff := cmp.Diff(receipts, got); diff != "" {
		t.Fatal(diff)
	}
	if _, err := envelope.ParseAnswer(b, 3); err == nil {
		t.Fatal("two receipts were taken for three messages")
	}
	got, err = envelope.ParseAnswer(envelope.AppendAnswer(nil, []envelope.Receipt{{Outcome: envelope.Repeated}}), 3)
	if err != nil || len(got) != 3 || got[2].Outcome != envelope.Repeated {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestARequestBeyondALimitIsRefusedByName(t *testing.T) {
	good := func() *envelope.Request {
		return &envelope.Request{Line: 1, Seq: 1, Messages: []envelope.Message{{ID: "a", Type: "t", Hops: 1}}}
	}
	for name, f := range map[string]struct {
		change func(*envelope.Request)
		want   string
	}{
		"hops":     {func(r *envelope.Request) { r.Messages[0].Hops = envelope.MaxHops + 1 }, "[0]: hops"},
		"no hops":  {func(r *envelope.Request) { r.Messages[0].Hops = 0 }, "id and hops"},
		"no id":    {func(r *envelope.Request) { r.Messages[0].ID = "" }, "id and hops"},
		"long id":  {func(r *envelope.Request) { r.Messages[0].ID = strings.Repeat("i", 256) }, "[0]: id"},
		"lane":     {func(r *envelope.Request) { r.Messages[0].Lane = 4 }, "[0]: lane"},
		"body":     {func(r *envelope.Request) { r.Messages[0].Body = make([]byte, envelope.MaxBody+1) }, "[0]: body"},
		"mode":     {func(r *envelope.Request) { r.Mode = 3 }, "mode"},
		"seq":      {func(r *envelope.Request) { r.Seq = 0 }, "seq"},
		"settled":  {func(r *envelope.Request) { r.Settled = r.Seq }, "settled"},
		"patience": {func(r *envelope.Request) { r.Patience = 60_001 }, "patience"},
		"none":     {func(r *envelope.Request) { r.Messages = nil }, "messages"},
		"two asked": {func(r *envelope.Request) {
			r.Mode = envelope.Ask
			r.Messages = append(r.Messages, r.Messages[0])
		}, "messages"},
		"many": {func(r *envelope.Request) {
			r.Messages = make([]envelope.Message, envelope.MaxBatch+1)
		}, "messages"},
		"large": {func(r *envelope.Request) {
			r.Messages[0].Body = make([]byte, envelope.MaxBody)
			for range 5 {
				r.Messages = append(r.Messages, r.Messages[0])
			}
		}, "more than"},
	} {
		r := good()
		f.change(r)
		if _, err := envelope.ParseRequest(r.Append(nil)); err == nil || !strings.Contains(err.Error(), f.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := envelope.ParseRequest(good().Append(nil)); err != nil {
		t.Error(err)
	}
}

// TestAWindowAdmitsEachRequestOnce compares with a set of what was admitted.
func TestAWindowAdmitsEachRequestOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w envelope.Window
		seen := map[uint64]bool{}
		top, over := uint64(0), uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			from := uint64(1)
			if top > 2*envelope.Reach {
				from = top - 2*envelope.Reach
			}
			reach := rapid.SampledFrom([]uint64{2, 100, 3 * envelope.Reach}).Draw(t, "reach")
			seq := rapid.Uint64Range(from, top+reach).Draw(t, "seq")
			r := envelope.Request{Seq: seq, Mode: envelope.Mode(rapid.IntRange(0, 2).Draw(t, "mode"))}
			r.Settled = rapid.Uint64Range(0, seq-1).Draw(t, "settled")
			want := !seen[seq] && (seq > top || top-seq < envelope.Reach) && (r.Mode != envelope.Tell || seq > over)
			if got := w.Admit(&r); got != want {
				t.Fatalf("%+v with %d the highest and %d over: admitted %v, want %v", r, top, over, got, want)
			}
			if want {
				seen[seq] = true
				top = max(top, seq)
				over = max(over, r.Settled)
				if r.Mode == envelope.Tell {
					over = max(over, seq)
				}
			}
		}
	})
}

func TestAWindowAtTheEndOfItsNumbers(t *testing.T) {
	var w envelope.Window
	admit := func(mode envelope.Mode, seq uint64) bool { return w.Admit(&envelope.Request{Mode: mode, Seq: seq}) }
	last := ^uint64(0)
	if !admit(envelope.Tell, last) || admit(envelope.Ask, last) || !admit(envelope.Ask, last-1) || admit(envelope.Ask, 0) || admit(envelope.Wait, 1) {
		t.Fatal("wrong at the highest number")
	}
}

func FuzzParseRequest(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		r := envelope.Request{Mode: envelope.Tell, Line: random.Uint64(), Seq: 1 + random.Uint64N(1000), Patience: 5000}
		for range 1 + random.IntN(3) {
			r.Messages = append(r.Messages, envelope.Message{ID: "hq/t1", Type: "t", Hops: 1, Body: make([]byte, random.IntN(20))})
		}
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := envelope.ParseRequest(b)
		if err != nil {
			return
		}
		if again := r.Append(nil); !reflect.DeepEqual(again, b) {
			t.Fatalf("parsed from %x, appended as %x", b, again)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(envelope.AppendAnswer(nil, []envelope.Receipt{{Outcome: envelope.Full, Text: "no room"}, {Body: []byte{1}}}), 2)
	f.Add(envelope.AppendAnswer(nil, []envelope.Receipt{{Outcome: envelope.Malformed}}), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = 1 + int(uint(n)%envelope.MaxBatch)
		receipts, err := envelope.ParseAnswer(b, n)
		if err != nil {
			return
		}
		if len(receipts) != n {
			t.Fatalf("%d receipts for %d messages", len(receipts), n)
		}
		if again := envelope.AppendAnswer(nil, receipts); n == 1 && !reflect.DeepEqual(again, b) {
			t.Fatalf("parsed from %x, appended as %x", b, again)
		}
	})
}
