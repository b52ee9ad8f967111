package wire_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/atrium-iot/atrium/shared/wire"
)

// fuzz demands of a parser that it never panics, fails only with the two typed
// errors, and that what it accepts has one encoding. The seeds are the golden
// messages.
func fuzz(f *testing.F, kind wire.Kind) {
	for _, g := range readGolden(f) {
		f.Add(g.bytes)
	}
	var parse func([]byte) (appender, error)
	for _, m := range messages() {
		if m.kind == kind {
			parse = m.parse
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkParser(t, b, parse) })
}

func checkParser(t *testing.T, b []byte, parse func([]byte) (appender, error)) {
	m, err := parse(b)
	var we *wire.Error
	var ve *wire.VersionError
	switch {
	case err == nil:
		if _, ok := m.(*wire.Hello); ok && b[0] > 0x8a {
			return // items that version 1 does not have are not kept
		}
		if again := m.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x was read, but encodes to %x", b, again)
		}
	case errors.As(err, &we):
		if we.At == "" || we.Reason < wire.RejectCRC || we.Reason > wire.RejectUnsupportedKind {
			t.Fatalf("an error without place or reason: %#v", we)
		}
	case !errors.As(err, &ve):
		t.Fatalf("an untyped error: %v", err)
	}
}

func FuzzParseGap(f *testing.F)       { fuzz(f, wire.KindGap) }
func FuzzParseHello(f *testing.F)     { fuzz(f, wire.KindHello) }
func FuzzParseWelcome(f *testing.F)   { fuzz(f, wire.KindWelcome) }
func FuzzParseLaneStart(f *testing.F) { fuzz(f, wire.KindLane) }
func FuzzParseSchema(f *testing.F)    { fuzz(f, wire.KindSchema) }
func FuzzParseClock(f *testing.F)     { fuzz(f, wire.KindClock) }
func FuzzParseBind(f *testing.F)      { fuzz(f, wire.KindBind) }
func FuzzParseAck(f *testing.F)       { fuzz(f, wire.KindAck) }
func FuzzParseReject(f *testing.F)    { fuzz(f, wire.KindReject) }
func FuzzParseCredit(f *testing.F)    { fuzz(f, wire.KindCredit) }
func FuzzParseCommand(f *testing.F)   { fuzz(f, wire.KindCommand) }
func FuzzParseResult(f *testing.F)    { fuzz(f, wire.KindResult) }
func FuzzParseSettled(f *testing.F)   { fuzz(f, wire.KindSettled) }
func FuzzParseNodes(f *testing.F)     { fuzz(f, wire.KindNodes) }
func FuzzParseRedirect(f *testing.F)  { fuzz(f, wire.KindRedirect) }
func FuzzParseLater(f *testing.F)     { fuzz(f, wire.KindLater) }
func FuzzParseAskTime(f *testing.F)   { fuzz(f, wire.KindAskTime) }
func FuzzParseTime(f *testing.F)      { fuzz(f, wire.KindTime) }

// FuzzParseFrame gives each input a correct CRC too, which it would not find.
func FuzzParseFrame(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.bytes)
	}
	parse := parser(wire.ParseFrame)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealed(b)} {
			if k, err := wire.Peek(b); err == nil && k == wire.KindPacked {
				checkPacked(t, b)
				continue
			}
			checkParser(t, b, parse)
		}
	})
}

func FuzzParseBody(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.bytes)
	}
	parse := parser(wire.ParseBody)
	f.Fuzz(func(t *testing.T, b []byte) { checkParser(t, b, parse) })
}

func FuzzPeek(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _, seqErr := wire.PeekSeq(b)
		if _, err := wire.Peek(b); err != nil && seqErr == nil {
			t.Fatalf("a sequence in a message that Peek refuses: %v", err)
		}
	})
}

// FuzzParseColumns also demands that what was read can be written and read
// again: the writer's own choice of codecs must not lose anything.
func FuzzParseColumns(f *testing.F) {
	f.Add([]byte{0x60, 0xc0, 0, 0}, uint16(3), uint8(1), uint64(10), int64(5), uint64(0))
	f.Add([]byte{0, 0, 0x22, 0, 0xa3, 0x46, 0x80}, uint16(6), uint8(1), uint64(0), int64(0), uint64(0))
	f.Add([]byte{0, 0, 0x45, 0, 0xfc, 0x80, 2, 4}, uint16(5), uint8(1), uint64(0), int64(0), uint64(0))
	f.Add([]byte{0, 0, 0x80, 0, 0x22, 2, 2, 0xa0, 0}, uint16(36), uint8(2), uint64(0), int64(0), uint64(0))
	f.Add([]byte{0, 0, 0xc0, 0, 0xc7, 0xe0, 0, 0, 0, 0, 0, 0}, uint16(2), uint8(1), uint64(0), int64(0), uint64(wire.KindFloat))
	f.Add([]byte{0, 0, 0xc9, 0, 0xcb, 8, 0x4b, 0x53, 0x27, 0xd8}, uint16(5), uint8(1), uint64(0), int64(0), uint64(0))
	f.Add([]byte{0, 0, 0xe0, 2, 1, 'a', 1, 'b', 0x60, 0, 0x60}, uint16(3), uint8(1), uint64(0), int64(0), uint64(wire.KindText))
	f.Fuzz(func(t *testing.T, b []byte, n uint16, columns uint8, grid uint64, first int64, kinds uint64) {
		var rows, again wire.Rows
		described := make([]wire.Column, columns)
		for i := range described {
			described[i].Kind = wire.ColumnKind(kinds >> (3 * i) & 7)
		}
		shape := wire.ShapeOf(described)
		if err := wire.ParseColumns(b, int(n), shape, grid, first, &rows); err != nil {
			var we *wire.Error
			if !errors.As(err, &we) {
				t.Fatalf("an untyped error: %v", err)
			}
			return
		}
		if rows.T[0] != first {
			t.Fatalf("row 0 is at %d, want %d", rows.T[0], first)
		}
		encoded := wire.AppendColumns(nil, &rows, grid)
		if err := wire.ParseColumns(encoded, int(n), shape, grid, first, &again); err != nil {
			t.Fatalf("%x was written as %x: %v", b, encoded, err)
		}
		if !sameRows(&rows, &again) {
			t.Fatalf("%x was written as %x and came back otherwise", b, encoded)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0x43, 1, 2, 3, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(bytes.NewReader(b), 64)
		var again []byte
		for {
			msg, err := r.Next()
			if err != nil {
				break
			}
			again = wire.AppendItem(again, msg)
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x was read as %x", b, again)
		}
	})
}

func sameRows(a, b *wire.Rows) bool {
	for i := range a.T {
		if a.T[i] != b.T[i] || a.Q[i] != b.Q[i] {
			return false
		}
		for c := range a.V {
			if a.V[c][i] != b.V[c][i] {
				return false
			}
		}
	}
	same := func(x, y []string) bool { return slices.Equal(x, y) }
	return len(a.T) == len(b.T) && len(a.V) == len(b.V) && slices.EqualFunc(a.Texts, b.Texts, same)
}
