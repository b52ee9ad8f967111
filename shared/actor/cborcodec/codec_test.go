package cborcodec_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/cborcodec"
)

type part struct {
	Name   string             `cbor:"n,omitempty"`
	Values map[string]float64 `cbor:"v"`
}

type message struct {
	At    time.Time
	Raw   []byte
	Text  string
	Parts []part
	Next  *part
	Count int64
	Reply actor.Reply[string]
}

func codec(t interface{ Fatal(...any) }) *actor.Codec[message] {
	c, err := cborcodec.Of[message]("message/1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAMessageArrivesAsItWasSent(t *testing.T) {
	c := codec(t)
	rapid.Check(t, func(t *rapid.T) {
		want := message{
			At:    time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC(),
			Raw:   rapid.SliceOf(rapid.Byte()).Draw(t, "raw"),
			Text:  string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")),
			Count: rapid.Int64().Draw(t, "count"),
			Parts: []part{{
				Name:   rapid.String().Draw(t, "name"),
				Values: rapid.MapOf(rapid.String(), rapid.Float64()).Draw(t, "values"),
			}},
			Next: &part{Values: map[string]float64{}},
		}
		b, err := c.Append([]byte("before"), want)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := c.Append([]byte("before"), want)
		if !bytes.Equal(b, again) || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("encoded as %x and as %x", b, again)
		}
		got, err := c.Parse(b[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b actor.Reply[string]) bool { return a == b })); diff != "" {
			t.Fatal(diff)
		}
		if _, err := c.Parse(b[len("before") : len(b)-1]); err == nil {
			t.Fatal("a cut message was parsed")
		}
	})
}

func TestWhatDoesNotTravelIsRefusedByName(t *testing.T) {
	type inner struct{ To actor.Ref[int] }
	type withReply struct {
		actor.Reply[string]
		Question string
	}
	type withTime struct {
		time.Time
		Value float64
	}
	for want, err := range map[string]error{
		".C: chan int":              of[struct{ C chan int }](),
		".F[]: func()":              of[struct{ F []func() }](),
		".X: interface":             of[struct{ X any }](),
		".hidden":                   of[struct{ hidden int }](),
		".In[].To.cell":             of[struct{ In map[string]inner }](),
		"any: ":                     of[any](),
		".Reply: an embedded field": of[withReply](), // else it would travel as null
		".Time: an embedded field":  of[withTime](),
		".part: an embedded field":  of[struct{ *part }](),
		`.B: travels as "a", and so does A`: of[struct {
			A int `cbor:"a"`
			B int `json:"a"`
		}](),
		".A: left out of JSON": of[struct {
			A int `json:"-"`
		}](),
		"Codec.Name":       second(cborcodec.Of[int]("")),
		`answer "a": chan`: second(cborcodec.Answer("a", func(*int) *actor.Reply[chan int] { return nil })),
	} {
		if want == "any: " {
			want = "interface {} does not travel"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	if err := of[list](); err != nil {
		t.Errorf("a type that holds itself: %v", err)
	}
	if err := of[struct {
		A func() `cbor:"-"`
	}](); err != nil {
		t.Errorf("a field that is left out: %v", err)
	}
}

type list struct{ Next *list }

// The other node would refuse it, and the sender of a Tell would not hear.
func TestAValueBeyondTheLimitsIsRefusedWhereItIsSent(t *testing.T) {
	lists, err := cborcodec.Of[*list]("list/1")
	if err != nil {
		t.Fatal(err)
	}
	var l *list
	for depth := range 30 {
		b, err := lists.Append(nil, l)
		if err != nil {
			if depth < 10 || len(b) != 0 || !strings.Contains(err.Error(), "nested") {
				t.Fatalf("depth %d: %d bytes, %v", depth, len(b), err)
			}
			return
		}
		if _, err := lists.Parse(b); err != nil {
			t.Fatalf("depth %d was sent and not parsed: %v", depth, err)
		}
		l = &list{l}
	}
	t.Fatal("any depth was sent")
}

// binary has its state in a field, and another encoding.
type binary struct{ N int }

func (b binary) MarshalBinary() ([]byte, error) { return nil, errors.New("asked") }

func TestFieldsTravelAlsoWhereATypeHasAnotherEncoding(t *testing.T) {
	c, err := cborcodec.Of[binary]("binary/1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Append(nil, binary{7})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Parse(b); got.N != 7 || err != nil {
		t.Fatalf("got %v, %v", got, err)
	}
}

func of[M any]() error { return second(cborcodec.Of[M]("x")) }

func second[T any](_ T, err error) error { return err }

func TestBadBytesAreRefused(t *testing.T) {
	c := codec(t)
	for name, b := range map[string][]byte{
		"nothing":       {},
		"another type":  {0x01},
		"unknown field": {0xa1, 0x61, 'Z', 0x01},
		"other case":    {0xa1, 0x65, 'c', 'o', 'u', 'n', 't', 1},
		"twice a field": {0xa2, 0x65, 'C', 'o', 'u', 'n', 't', 1, 0x65, 'C', 'o', 'u', 'n', 't', 2},
		"no end":        {0xbf, 0xff},
		"two values":    {0xa0, 0xa0},
	} {
		if m, err := c.Parse(b); err == nil {
			t.Errorf("%s was parsed: %+v", name, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	c := codec(f)
	b, err := c.Append(nil, message{At: time.Unix(1, 2), Parts: []part{{Name: "p"}}, Next: &part{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := c.Parse(b)
		if err != nil {
			return
		}
		again, err := c.Append(nil, m)
		if err != nil {
			if m.At.Year() < 0 || m.At.Year() > 9999 { // RFC 3339 has four digits
				return
			}
			t.Fatal(err)
		}
		if _, err := c.Parse(again); err != nil {
			t.Fatalf("%x: %v", again, err)
		}
	})
}

func TestAReplyTravelsWithItsQuestionOnly(t *testing.T) {
	c := codec(t)
	s := actor.NewActorSystem(actor.Config{Address: "a", Port: 1}, nil)
	var told error
	ref, err := actor.Spawn(s.Engine(), actor.PropsOf(func() actor.ReceiverOf[message] {
		return receiver(func(m message) {
			_, told = c.Append(nil, m)
			m.Reply.Send("done")
		})
	}), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := actor.Ask(t.Context(), ref, func(r actor.Reply[string]) message { return message{Reply: r} }); err != nil {
		t.Fatal(err)
	}
	if told == nil || !strings.Contains(told.Error(), "only Ask") {
		t.Fatalf("a question that was handed on is encoded: %v", told)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// receiver is a function as an actor.
type receiver func(message)

func (f receiver) Receive(ctx *actor.ContextOf[message]) { f(ctx.Message()) }
