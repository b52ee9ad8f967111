package actor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

// TestABadRequestChangesNothing (I6): each has an outcome of its own and a
// counter.
func TestABadRequestChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "b")
		there := &adder{}
		host(t, n, s, "b", "x", there, 0)
		spawn(t, s, on(func(*actor.ContextOf[note]) { panic("reached") }), "closed")
		g, err := s.NewGroup("g", actor.GroupConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := actor.SpawnIn(g, on(func(*actor.ContextOf[note]) { panic("reached") }).WithCodec(notes), "member"); err != nil {
			t.Fatal(err)
		}
		good := envelope.Message{ID: "x", Type: "note/1", Hops: 1, Body: []byte("7")}
		seq := uint64(0)
		send := func(mode envelope.Mode, change func(*envelope.Message)) envelope.Receipt {
			t.Helper()
			m := good
			change(&m)
			seq++
			r := envelope.Request{Mode: mode, Line: 5, Seq: seq, Patience: 1000, Messages: []envelope.Message{m}}
			receipts, err := envelope.ParseAnswer(s.Engine().Receive(t.Context(), r.Append(nil)), 1)
			if err != nil {
				t.Fatal(err)
			}
			return receipts[0]
		}
		for name, c := range map[string]struct {
			mode   envelope.Mode
			change func(*envelope.Message)
			want   envelope.Outcome
			text   string
		}{
			"unknown actor":  {envelope.Tell, func(m *envelope.Message) { m.ID = "y" }, envelope.Stale, ""},
			"no codec":       {envelope.Tell, func(m *envelope.Message) { m.ID = "closed" }, envelope.Closed, "closed"},
			"member":         {envelope.Tell, func(m *envelope.Message) { m.ID = "member" }, envelope.Closed, ""},
			"other type":     {envelope.Ask, func(m *envelope.Message) { m.Type = "note/2" }, envelope.UnknownType, `x takes "note/1", not "note/2"`},
			"bad body":       {envelope.Tell, func(m *envelope.Message) { m.Body = []byte("seven") }, envelope.BadBody, "note/1: "},
			"panic":          {envelope.Wait, func(m *envelope.Message) { m.Body = []byte("!") }, envelope.BadBody, "panicked"},
			"unknown answer": {envelope.Ask, func(m *envelope.Message) { m.Body, m.Answer = []byte("?"), "product" }, envelope.UnknownType, "product"},
			"no question":    {envelope.Ask, func(m *envelope.Message) { m.Answer = "sum" }, envelope.BadBody, "asks for no answer"},
			"too many hops":  {envelope.Tell, func(m *envelope.Message) { m.Hops = envelope.MaxHops + 1 }, envelope.Malformed, "hops: want less than 3, got 3"},
		} {
			if got := send(c.mode, c.change); got.Outcome != c.want || !strings.Contains(got.Text, c.text) {
				t.Errorf("%s: %v %q, want %v %q", name, got.Outcome, got.Text, c.want, c.text)
			}
		}
		synctest.Wait()
		if got := there.seen(); len(got) != 0 {
			t.Fatalf("the actor was given %v", got)
		}
		if r := received(t, reg, "accepted"); r != 0 {
			t.Fatalf("%d counted as accepted", r)
		}
		if all := sum(t, reg, "atrium_actor_received_total"); all != 9 {
			t.Fatalf("%d messages counted", all)
		}
		if got := send(envelope.Tell, func(*envelope.Message) {}); got.Outcome != envelope.Accepted {
			t.Fatalf("a good message afterwards: %v %s", got.Outcome, got.Text)
		}
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestARequestThatComesAgainIsNotHandledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "b")
		there := &adder{}
		host(t, n, s, "b", "x", there, 0)
		request := func(line, seq uint64) []byte {
			r := envelope.Request{Line: line, Seq: seq, Patience: 1, Messages: []envelope.Message{{ID: "x", Type: "note/1", Hops: 1, Body: []byte("1")}}}
			return r.Append(nil)
		}
		for _, seq := range []uint64{1, 1, 3, 2} { // 2 comes too late
			s.Engine().Receive(t.Context(), request(1, seq))
		}
		synctest.Wait()
		if got, r := len(there.seen()), received(t, reg, "repeated"); got != 2 || r != 2 {
			t.Fatalf("%d handled, %d repeated", got, r)
		}
		for line := uint64(2); line < 400; line++ { // bounded: line 1 is forgotten
			s.Engine().Receive(t.Context(), request(line, 1))
		}
		s.Engine().Receive(t.Context(), request(399, 1))
		synctest.Wait()
		if r := received(t, reg, "repeated"); r != 3 {
			t.Fatalf("%d repeated", r)
		}
	})
}

func TestWhatFollowsAStaleMessageDoesNotOvertakeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "b")
		host(t, n, s, "b", "other", &adder{}, 0)
		r := envelope.Request{Line: 1, Seq: 1, Patience: 1}
		for _, id := range []string{"x", "other", "x"} {
			r.Messages = append(r.Messages, envelope.Message{ID: id, Type: "note/1", Hops: 1, Body: []byte("1")})
		}
		// x comes between its two messages: when the codec parses the other's.
		arrival := *notes
		arrival.Parse = func(b []byte) (note, error) {
			host(t, n, s, "b", "x", &adder{}, 0)
			return notes.Parse(b)
		}
		spawn(t, s, actor.PropsOf(func() actor.ReceiverOf[note] { return &adder{} }).WithCodec(&arrival), "door")
		r.Messages[1].ID = "door"
		receipts, err := envelope.ParseAnswer(s.Engine().Receive(t.Context(), r.Append(nil)), 3)
		if err != nil {
			t.Fatal(err)
		}
		got := []envelope.Outcome{receipts[0].Outcome, receipts[1].Outcome, receipts[2].Outcome}
		if want := []envelope.Outcome{envelope.Stale, envelope.Accepted, envelope.Stale}; !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// A request that its sender has given up is refused when it comes after the next
// one; one that came before and is slow must not be overtaken by it either.
func TestARequestThatIsStillBeingReadIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "b")
		there := &adder{}
		slow := *notes
		slow.Parse = func(b []byte) (note, error) {
			if string(b) == "1" {
				time.Sleep(time.Minute)
			}
			return notes.Parse(b)
		}
		spawn(t, s, actor.PropsOf(func() actor.ReceiverOf[note] { return there }).WithCodec(&slow), "x")
		var arrivals sync.WaitGroup
		for seq := uint64(1); seq <= 2; seq++ {
			r := envelope.Request{Line: 1, Seq: seq, Settled: seq - 1, Patience: 5000}
			r.Messages = []envelope.Message{{ID: "x", Type: "note/1", Hops: 1, Body: fmt.Append(nil, seq)}}
			arrivals.Go(func() { s.Engine().Receive(t.Context(), r.Append(nil)) })
			synctest.Wait()
		}
		arrivals.Wait()
		synctest.Wait()
		if got := there.seen(); !slices.IsSorted(got) {
			t.Fatalf("got %v", got)
		}
	})
}

// A request of many messages may wait long, as for Locate. What its sender was
// told is unconfirmed must not be delivered much later.
func TestARequestEndsWithItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "b")
		there := &adder{}
		host(t, n, s, "b", "x", there, 0)
		registerAdders(t, s, &adder{}, actor.Passivation{})
		n.searches(func(context.Context, string) error {
			time.Sleep(time.Minute) // it does not look at its context
			return nil
		})
		r := envelope.Request{Line: 1, Seq: 1, Patience: 5000}
		for _, id := range []string{"x", "adder/y", "x"} {
			r.Messages = append(r.Messages, envelope.Message{ID: id, Type: "note/1", Hops: 1, Body: []byte("1")})
		}
		receipts, err := envelope.ParseAnswer(s.Engine().Receive(t.Context(), r.Append(nil)), 3)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := len(there.seen()); got != 1 || receipts[2].Outcome != envelope.Expired {
			t.Fatalf("%d delivered; the last one is %v", got, receipts[2].Outcome)
		}
		if x := received(t, reg, "expired"); x != 1 {
			t.Errorf("%d counted as expired", x)
		}
	})
}

func TestWhatACodecRefusesIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		far, _ := n.join(t, "b")
		host(t, n, far, "b", "x", &adder{sum: unspeakable}, 0)
		ref := refTo(t, s, "b", "x")
		for _, m := range []note{{n: unspeakable}, {n: bulky}} {
			if err := ref.Tell(m); !errors.Is(err, actor.ErrCodec) {
				t.Errorf("Tell = %v", err)
			}
			if err := ref.TellWait(t.Context(), m); !errors.Is(err, actor.ErrCodec) {
				t.Errorf("TellWait = %v", err)
			}
		}
		if accepted, err := ref.TellBatch([]note{{n: 1}, {n: unspeakable}, {n: 2}}); accepted != 1 || !errors.Is(err, actor.ErrCodec) {
			t.Errorf("TellBatch = %d, %v", accepted, err)
		}
		_, err := actor.Ask(t.Context(), ref, func(actor.Reply[string]) note { return note{asks: true} })
		if !errors.Is(err, actor.ErrCodec) || !strings.Contains(err.Error(), "string") {
			t.Errorf("Ask for an answer that the codec does not know = %v", err)
		}
		host(t, n, far, "b", "y", &adder{sum: unspeakable}, 0)
		if _, err := ask(t.Context(), refTo(t, s, "b", "y")); !errors.Is(err, actor.ErrCodec) || !strings.Contains(err.Error(), "unspeakable") {
			t.Errorf("an answer that can't be encoded = %v", err)
		}
		if r := refusals(t, reg, "codec"); r != 8 {
			t.Errorf("%d refusals", r)
		}
		host(t, n, far, "b", "z", &adder{sum: unreadable}, 0)
		if _, err := ask(t.Context(), refTo(t, s, "b", "z")); !errors.Is(err, actor.ErrCodec) || !strings.Contains(err.Error(), "panicked") {
			t.Errorf("an answer that makes the codec panic = %v", err)
		}
	})
}

// FuzzReceive: no bytes from another node stop the node or reach an actor that
// they should not.
func FuzzReceive(f *testing.F) {
	for mode, body := range []string{"1", "2", "?"} {
		r := envelope.Request{Mode: envelope.Mode(mode), Line: 1, Seq: 1, Patience: 1}
		r.Messages = []envelope.Message{{ID: "x", Type: "note/1", Answer: "sum", Hops: 1, Body: []byte(body)}}
		f.Add(r.Append(nil))
		r.Messages[0].ID = "closed"
		f.Add(r.Append(nil))
	}
	n := newNetwork()
	s, _ := n.join(f, "b")
	host(f, n, s, "b", "x", &adder{}, 10)
	spawn(f, s, on(func(*actor.ContextOf[note]) { panic("reached") }), "closed")
	f.Fuzz(func(t *testing.T, request []byte) {
		before := bytes.Clone(request)
		answer := s.Engine().Receive(context.Background(), request)
		messages := 1
		if r, err := envelope.ParseRequest(request); err == nil {
			messages = len(r.Messages)
		}
		if _, err := envelope.ParseAnswer(answer, messages); err != nil {
			t.Fatal(fmt.Errorf("the answer: %w", err))
		}
		if !bytes.Equal(before, request) {
			t.Fatal("the request was changed")
		}
	})
}
