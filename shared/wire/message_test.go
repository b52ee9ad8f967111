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
		{wire.KindHello, drawHello, parser(wire.ParseHello)},
		{wire.KindWelcome, drawWelcome, parser(wire.ParseWelcome)},
		{wire.KindLane, drawLane, parser(wire.ParseLaneStart)},
		{wire.KindSchema, drawSchema, parser(wire.ParseSchema)},
		{wire.KindClock, drawClock, parser(wire.ParseClock)},
		{wire.KindBind, drawBind, parser(wire.ParseBind)},
		{wire.KindAck, drawAck, parser(wire.ParseAck)},
		{wire.KindReject, drawReject, parser(wire.ParseReject)},
		{wire.KindCredit, drawCredit, parser(wire.ParseCredit)},
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
	for _, m := range messages()[:2] {
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
		if _, err := other.parse(b); (err == nil) != (other.kind == m.kind) {
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

// Generators. Numbers lean to the edges of their ranges by themselves.

func drawBytes(t *rapid.T, n int) []byte {
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bytes")
}
func drawRun(t *rapid.T) id.Run   { return id.Run(drawBytes(t, 8)) }
func drawBoot(t *rapid.T) id.Boot { return id.Boot(drawBytes(t, 16)) }

func drawDevice(t *rapid.T) id.Device {
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`)
	return id.Device{Site: id.Site(label.Draw(t, "site")), Name: label.Draw(t, "name")}
}

func drawText(t *rapid.T, limit int) string {
	return rapid.StringN(0, limit/4, limit).Draw(t, "text")
}

func drawFrame(t *rapid.T) appender {
	m := &wire.Frame{
		Run: drawRun(t), Seq: rapid.Uint64Min(1).Draw(t, "seq"), Clk: rapid.Uint32Min(1).Draw(t, "clk"),
		T0: rapid.Int64().Draw(t, "t0"), Suppressed: rapid.Uint32().Draw(t, "suppressed"),
	}
	sid := uint32(0)
	for range rapid.IntRange(1, 5).Draw(t, "blocks") {
		sid += rapid.Uint32Range(1, 1<<28).Draw(t, "sid")
		m.Blocks = append(m.Blocks, wire.Block{
			SID: sid, N: rapid.IntRange(1, wire.MaxRows/5).Draw(t, "n"), DT0: rapid.Int64().Draw(t, "dt0"),
			Data: rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "columns"),
		})
	}
	return m
}

func drawGap(t *rapid.T) appender {
	a := rapid.Uint64Min(1).Draw(t, "a")
	return &wire.Gap{
		Run: drawRun(t), A: a, B: rapid.Uint64Min(a).Draw(t, "b"),
		Reason:   wire.GapReason(rapid.IntRange(1, 4).Draw(t, "reason")),
		Readings: rapid.Uint64().Draw(t, "readings"),
		TFirst:   rapid.Int64().Draw(t, "first"), TLast: rapid.Int64().Draw(t, "last"),
	}
}

func drawHello(t *rapid.T) appender {
	low := rapid.Uint64Min(1).Draw(t, "min")
	m := &wire.Hello{
		Min: low, Max: rapid.Uint64Min(low).Draw(t, "max"), Agent: drawText(t, wire.MaxText),
		Board: id.Board(drawBytes(t, 16)), Interval: rapid.Uint64().Draw(t, "interval"),
		Now: rapid.Uint64().Draw(t, "now"),
	}
	for range rapid.IntRange(1, 4).Draw(t, "boots") {
		m.Boots = append(m.Boots, drawBoot(t))
	}
	for range rapid.IntRange(0, 4).Draw(t, "runs") {
		last := rapid.Uint64Max(1<<63).Draw(t, "last")
		m.Runs = append(m.Runs, wire.RunInfo{
			Run: drawRun(t), Class: wire.Class(rapid.IntRange(1, 2).Draw(t, "class")),
			Boot:  rapid.IntRange(0, len(m.Boots)-1).Draw(t, "boot"),
			First: rapid.Uint64Range(1, last+1).Draw(t, "first"), Last: last,
			State: wire.RunState(rapid.IntRange(0, 2).Draw(t, "state")),
		})
	}
	return m
}

func drawWelcome(t *rapid.T) appender {
	return &wire.Welcome{
		Version: rapid.Uint64Min(1).Draw(t, "version"), Cluster: drawText(t, wire.MaxText),
		Node: drawText(t, wire.MaxText), Now: rapid.Uint64().Draw(t, "now"),
		Credit: rapid.Uint64().Draw(t, "credit"),
	}
}

func drawLane(t *rapid.T) appender {
	return &wire.LaneStart{Lane: wire.Lane(rapid.IntRange(1, 2).Draw(t, "lane"))}
}

func drawSchema(t *rapid.T) appender {
	body := drawBody(t)
	encoded := body.Append(nil)
	return &wire.Schema{
		Run: drawRun(t), SID: rapid.Uint32Min(1).Draw(t, "sid"), Device: drawDevice(t),
		Hash: wire.HashBody(encoded), Grid: rapid.Uint64().Draw(t, "grid"),
		Digest: [32]byte(drawBytes(t, 32)), Body: encoded,
	}
}

func drawBody(t *rapid.T) wire.Body {
	b := wire.Body{
		Profile: drawText(t, wire.MaxText), Version: rapid.Uint64().Draw(t, "version"),
		Tick: rapid.Uint64Range(1, 1<<63-1).Draw(t, "tick"),
	}
	points := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9_]{0,20}`), 1, 5, rapid.ID[string]).Draw(t, "points")
	for _, p := range points {
		b.Columns = append(b.Columns, wire.Column{
			Point: id.Point(p), Unit: drawText(t, wire.MaxUnit),
			Kind:     wire.ColumnKind(rapid.IntRange(0, 2).Draw(t, "kind")),
			Mantissa: rapid.Uint64Min(1).Draw(t, "mantissa"),
			Exponent: rapid.IntRange(-wire.MaxExponent, wire.MaxExponent).Draw(t, "exponent"),
		})
	}
	return b
}

func drawClock(t *rapid.T) appender {
	return &wire.Clock{
		Run: drawRun(t), Clk: rapid.Uint32Min(1).Draw(t, "clk"), Boot: drawBoot(t),
		UTC0: rapid.Int64().Draw(t, "utc0"), Uncertainty: rapid.Uint64().Draw(t, "uncertainty"),
		Source: wire.ClockSource(rapid.IntRange(0, 2).Draw(t, "source")),
	}
}

func drawBind(t *rapid.T) appender {
	var m wire.Bind
	for range rapid.IntRange(0, 4).Draw(t, "devices") {
		m.Devices = append(m.Devices, drawDevice(t))
	}
	return &m
}

func drawAck(t *rapid.T) appender {
	var m wire.Ack
	for range rapid.IntRange(1, 4).Draw(t, "runs") {
		m.Runs = append(m.Runs, wire.RunSeq{Run: drawRun(t), Seq: rapid.Uint64Min(1).Draw(t, "seq")})
	}
	return &m
}

func drawReject(t *rapid.T) appender {
	return &wire.Reject{
		Run: drawRun(t), Seq: rapid.Uint64Min(1).Draw(t, "seq"),
		Reason: wire.RejectReason(rapid.IntRange(1, 7).Draw(t, "reason")), Text: drawText(t, wire.MaxText),
	}
}

func drawCredit(t *rapid.T) appender { return &wire.Credit{Total: rapid.Uint64().Draw(t, "total")} }
