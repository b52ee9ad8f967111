package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// message is one kind as the tests below see it: something to encode, and its
// parser, which returns the same thing.
type message struct {
	kind  wire.Kind
	draw  func(t *rapid.T) appender
	parse func(b []byte) (appender, error)
}

type appender interface{ Append(dst []byte) []byte }

// parser adapts ParseX, which returns a value, to one that returns a pointer.
func parser[M any, P interface {
	*M
	appender
}](parse func([]byte) (M, error),
) func([]byte) (appender, error) {
	return func(b []byte) (appender, error) {
		m, err := parse(b)
		return P(&m), err
	}
}

func messages() []message {
	return []message{
		{wire.KindFrame, drawFrame, parser(wire.ParseFrame)},
		{wire.KindGap, drawGap, parser(wire.ParseGap)},
		{wire.KindPacked, drawPacked, parsePacked},
		{wire.KindHello, drawHello, parser(wire.ParseHello)},
		{wire.KindWelcome, drawWelcome, parser(wire.ParseWelcome)},
		{wire.KindLane, drawLane, parser(wire.ParseLaneStart)},
		{wire.KindSchema, drawSchema, parser(wire.ParseSchema)},
		{wire.KindClock, drawClock, parser(wire.ParseClock)},
		{wire.KindBind, drawBind, parser(wire.ParseBind)},
		{wire.KindAck, drawAck, parser(wire.ParseAck)},
		{wire.KindReject, drawReject, parser(wire.ParseReject)},
		{wire.KindCredit, drawCredit, parser(wire.ParseCredit)},
		{wire.KindCommand, drawCommand, parser(wire.ParseCommand)},
		{wire.KindResult, drawResult, parser(wire.ParseResult)},
		{wire.KindSettled, drawSettled, parser(wire.ParseSettled)},
		{wire.KindNodes, drawNodes, parser(wire.ParseNodes)},
		{wire.KindRedirect, drawRedirect, parser(wire.ParseRedirect)},
		{wire.KindLater, drawLater, parser(wire.ParseLater)},
		{wire.KindAskTime, drawAskTime, parser(wire.ParseAskTime)},
		{wire.KindTime, drawTime, parser(wire.ParseTime)},
	}
}

func TestEveryMessageComesBackAsItWentAndEncodesToTheSameBytes(t *testing.T) {
	for _, m := range messages() {
		t.Run(m.kind.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := m.draw(t)
				b := want.Append(nil)
				got, err := m.parse(b)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatal(diff)
				}
				if again := got.Append([]byte("before"))[len("before"):]; !bytes.Equal(again, b) {
					t.Fatalf("encoded to %x, then to %x", b, again)
				}
				if k, err := wire.Peek(b); err != nil || k != m.kind {
					t.Fatalf("Peek = %v, %v", k, err)
				}
			})
		})
	}
}

// I6: a message cut at any byte is refused with an error that names the place,
// whatever follows in the buffer.
func TestAMessageCutAtAnyByteIsRefused(t *testing.T) {
	for _, m := range messages() {
		t.Run(m.kind.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := m.draw(t).Append(nil)
				for n := range b {
					_, err := m.parse(b[:n:n])
					var we *wire.Error
					if !errors.As(err, &we) || we.At == "" || we.Err == nil {
						t.Fatalf("%x cut at %d of %d: %v", b, n, len(b), err)
					}
				}
				if _, err := m.parse(append(b, 0)); err == nil {
					t.Fatal("a byte after the message was accepted")
				}
			})
		})
	}
}

// A change anywhere in a message is an error or another message, never a
// second encoding of the same one.
func TestOnlyOneEncodingOfAMessageIsAccepted(t *testing.T) {
	for _, m := range messages() {
		t.Run(m.kind.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := m.draw(t).Append(nil)
				i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
				b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
				got, err := m.parse(b)
				if err == nil && !bytes.Equal(got.Append(nil), b) {
					t.Fatalf("%x was read, but encodes to %x", b, got.Append(nil))
				}
			})
		})
	}
}

func TestAFlippedBitAnywhereInAFrameOrGapIsFound(t *testing.T) {
	for _, m := range messages()[:3] {
		t.Run(m.kind.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := m.draw(t).Append(nil)
				for bit := range 8 * len(b) {
					b[bit/8] ^= 1 << (bit % 8)
					if _, err := m.parse(b); err == nil {
						t.Fatalf("bit %d of %x was flipped and not found", bit, b)
					}
					b[bit/8] ^= 1 << (bit % 8)
				}
			})
		})
	}
}

func TestAParserRefusesEveryOtherKindAndVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := messages()
		m := rapid.SampledFrom(all).Draw(t, "message")
		other := rapid.SampledFrom(all).Draw(t, "parser")
		b := m.draw(t).Append(nil)
		same := other.kind == m.kind || other.kind == wire.KindFrame && m.kind == wire.KindPacked // one parser for both forms
		if _, err := other.parse(b); (err == nil) != same {
			t.Fatalf("a %s went through the parser of %s: %v", m.kind, other.kind, err)
		}
		b[1] = byte(rapid.SampledFrom([]int{0, 2, 23}).Draw(t, "version"))
		var ve *wire.VersionError
		if _, err := m.parse(b); !errors.As(err, &ve) || ve.Got != uint64(b[1]) {
			t.Fatalf("version %d: %v", b[1], err)
		}
		if _, err := wire.Peek(b); !errors.As(err, &ve) {
			t.Fatalf("Peek of version %d: %v", b[1], err)
		}
	})
}

// A gateway of a later version says hello before anybody knows its version.
func TestAHelloOfALaterVersionIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawHello(t)
		b := want.Append(nil)
		b[0] += 4
		b = append(b, 7, 0x82, 0x41, 9, 0x81, 0x20, 0x62, 'h', 'i', 0x81, 0x81, 0x81, 0x80)
		got, err := wire.ParseHello(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, appender(&got)); diff != "" {
			t.Fatal(diff)
		}
		for n := range b {
			if _, err := wire.ParseHello(b[:n:n]); err == nil {
				t.Fatalf("%x cut at %d was accepted", b, n)
			}
		}
	})
}

// I6: what cannot be skipped within bounds is refused.
func TestAHelloWithHostileLaterItemsIsRefused(t *testing.T) {
	hello := wire.Hello{Min: 1, Max: 1, Boots: make([]id.Boot, 1)}
	for name, item := range map[string][]byte{
		"deep arrays":       {0x81, 0x81, 0x81, 0x81, 0x81, 0},
		"2^40 items":        {0x9b, 0, 0, 1, 0, 0, 0, 0, 0},
		"a long text":       {0x7a, 0xff, 0xff, 0xff, 0xff},
		"a map":             {0xa0},
		"indefinite length": {0x9f, 0xff},
	} {
		b := append(hello.Append(nil), item...)
		b[0]++
		var we *wire.Error
		if _, err := wire.ParseHello(b); !errors.As(err, &we) || we.At != "later item" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyKindsThatNobodyNeedsAreOptional(t *testing.T) {
	for k := range 256 {
		if got, want := wire.Kind(k).Optional(), k >= 128; got != want {
			t.Errorf("kind %d: %v, want %v", k, got, want)
		}
	}
}

func TestARejectCanNameAFrameOrGapThatIsBrokenBehindItsSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrame(t).(*wire.Frame)
		b := f.Append(nil)
		head := 1 + 1 + 1 + 9 + 9 // at most: array, version, kind, run, seq
		if run, a, z, err := wire.PeekSeq(b[:min(head, len(b))]); err != nil || run != f.Run || a != f.Seq || z != f.Seq {
			t.Fatalf("PeekSeq = %v %d %d %v", run, a, z, err)
		}
		g := drawGap(t).(*wire.Gap)
		if run, a, z, err := wire.PeekSeq(g.Append(nil)); err != nil || run != g.Run || a != g.A || z != g.B {
			t.Fatalf("PeekSeq = %v %d %d %v", run, a, z, err)
		}
		if _, _, _, err := wire.PeekSeq(drawHello(t).Append(nil)); err == nil {
			t.Fatal("a hello has no sequence")
		}
	})
}
