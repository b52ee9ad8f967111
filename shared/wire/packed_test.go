package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// packed is a frame that is written packed, where that pays.
type packed struct{ wire.Frame }

func (m *packed) Append(dst []byte) []byte {
	var p wire.Packer
	return p.Append(dst, &m.Frame)
}

func parsePacked(b []byte) (appender, error) {
	m, err := wire.ParseFrame(b)
	if k, _ := wire.Peek(b); err == nil && k != wire.KindPacked {
		err = &wire.Error{Reason: wire.RejectUnsupportedKind, At: "kind", Err: fmt.Errorf("is %s", k)}
	}
	return &packed{m}, err
}

// drawPacked draws a frame of many devices of one type with a row each, which
// is what packing is for.
func drawPacked(t *rapid.T) appender {
	m := drawFrame(t).(*wire.Frame)
	m.Blocks = m.Blocks[:0]
	for sid := range rapid.Uint32Range(6, 30).Draw(t, "blocks") {
		data := []byte{0, 0, 1, 0xd8, 4, 1, 0xb2, 0x46, 1, 0xea, 0x9d, 0x0c, rapid.Byte().Draw(t, "value")}
		m.Blocks = append(m.Blocks, wire.Block{SID: sid + 1, N: 1, DT0: 37 * int64(sid), Data: data})
	}
	return &packed{*m}
}

// A frame is packed only if that saves more than 5 %, and says the same in
// both forms.
func TestAFrameIsPackedWhereThatPaysAndSaysTheSame(t *testing.T) {
	var p wire.Packer
	var u wire.Unpacker
	forms := map[wire.Kind]int{}
	rapid.Check(t, func(t *rapid.T) {
		var f wire.Frame
		if rapid.Bool().Draw(t, "alike") {
			f = drawPacked(t).(*packed).Frame
		} else {
			f = *drawFrame(t).(*wire.Frame)
		}
		plain := f.Append(nil)
		b := p.Append([]byte("before"), &f)[len("before"):]
		kind, err := wire.Peek(b)
		if err != nil {
			t.Fatal(err)
		}
		forms[kind]++
		if kind == wire.KindFrame && !bytes.Equal(b, plain) || kind == wire.KindPacked && 100*len(b) >= 95*len(plain) {
			t.Fatalf("a %s of %d bytes, plain %d", kind, len(b), len(plain))
		}
		if run, first, last, err := wire.PeekSeq(b); err != nil || run != f.Run || first != f.Seq || last != f.Seq {
			t.Fatalf("PeekSeq = %v %d %d %v", run, first, last, err)
		}
		var got wire.Frame
		if err := u.Parse(&got, b); err != nil {
			t.Fatal(err)
		}
		clear(b) // the blocks of a packed frame have their own memory
		if kind == wire.KindPacked {
			if diff := cmp.Diff(f, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
	if forms[wire.KindFrame] == 0 || forms[wire.KindPacked] == 0 {
		t.Errorf("the frames were %v: both forms are to be tried", forms)
	}
}

// I5, I6: what a packed frame holds is known to be within the limit before
// memory is taken for it.
func TestAPackedBombIsRefusedBeforeItTakesMemory(t *testing.T) {
	zeros := make([]byte, 64<<20)
	small := append([]byte{0x81, 0x84, 1, 1, 0, 0x43}, 0, 0, 0)
	for _, c := range []struct {
		name   string
		zstd   []byte
		reason wire.RejectReason
	}{
		{"64 MiB of zeros", compress(t, zeros), wire.RejectLimit},
		{"one byte over the limit", compress(t, zeros[:wire.MaxFrame+1]), wire.RejectLimit},
		{"no size", unsized(t, zeros), wire.RejectMalformed},
		{"more than the size says", resized(compress(t, zeros[:100_000]), 70_000), wire.RejectMalformed},
		{"less than the size says", resized(compress(t, zeros[:100_000]), 200_000), wire.RejectMalformed},
		{"a second frame", append(compress(t, small), compress(t, zeros[:wire.MaxFrame])...), wire.RejectMalformed},
		{"a window of 1 GiB", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x80, 0xa0, 9, 0, 0, 0, 1, 0, 0}, wire.RejectLimit},
		{"a skippable frame", []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 0, 0, 0, 0}, wire.RejectMalformed},
		{"a dictionary", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 9, 1, 0, 0}, wire.RejectMalformed},
		{"cut", compress(t, small)[:8], wire.RejectMalformed},
		{"no zstd", []byte("hello"), wire.RejectMalformed},
		{"nothing", nil, wire.RejectMalformed},
	} {
		msg := packedOf(c.zstd)
		var u wire.Unpacker
		var f wire.Frame
		if err := u.Parse(&f, packedOf(compress(t, small))); err != nil { // the decoder's own memory
			t.Fatal(err)
		}
		var err error
		if n := allocated(func() { err = u.Parse(&f, msg) }); n > 3*wire.MaxFrame {
			t.Errorf("%s: %d bytes taken", c.name, n)
		}
		var we *wire.Error
		if !errors.As(err, &we) || we.Reason != c.reason || we.At == "" {
			t.Errorf("%s: want %s, got %v", c.name, c.reason, err)
		}
	}
}

func TestPackingAFrameTakesNoMemoryAndUnpackingOnlyTheFramesOwn(t *testing.T) {
	var p wire.Packer
	var u wire.Unpacker
	f := wire.Frame{Run: id.Run{1}, Seq: 1, Clk: 1}
	for sid := range uint32(20) {
		f.Blocks = append(f.Blocks, wire.Block{SID: sid + 1, N: 10, Data: make([]byte, 30)})
	}
	var b []byte
	if n := testing.AllocsPerRun(50, func() { b = p.Append(b[:0], &f) }); n != 0 {
		t.Errorf("%v allocations to pack, want 0", n)
	}
	var back wire.Frame
	if n := testing.AllocsPerRun(50, func() {
		if err := u.Parse(&back, b); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations to unpack, want 1", n)
	}
}

// FuzzParsePacked demands the same of what is packed as of a plain frame.
func FuzzParsePacked(f *testing.F) {
	f.Add(compress(f, append([]byte{0x81, 0x84, 1, 1, 0, 0x43}, 0, 0, 0)))
	f.Add(compress(f, make([]byte, 2*wire.MaxFrame)))
	f.Fuzz(func(t *testing.T, zstd []byte) { checkPacked(t, packedOf(zstd)) })
}

// checkPacked demands typed errors, and that a packed frame that is read is
// one that can be written plain.
func checkPacked(t *testing.T, b []byte) {
	m, err := wire.ParseFrame(b)
	var we *wire.Error
	if err != nil {
		if !errors.As(err, &we) || we.At == "" {
			t.Fatalf("an error without type or place: %v", err)
		}
		return
	}
	again, err := wire.ParseFrame(m.Append(nil))
	if err != nil || !cmp.Equal(m, again) {
		t.Fatalf("%+v came back as %+v, %v", m, again, err)
	}
}

// packedOf is a packed frame around a zstd frame, with a correct CRC.
func packedOf(zstd []byte) []byte {
	run := append([]byte{0x48}, make([]byte, 8)...)
	head := binary.BigEndian.AppendUint32([]byte{0x5a}, uint32(len(zstd)))
	switch n := len(zstd); {
	case n < 24:
		head = []byte{0x40 | byte(n)}
	case n < 256:
		head = []byte{0x58, byte(n)}
	case n < 65536:
		head = []byte{0x59, byte(n >> 8), byte(n)}
	}
	return sealed(0x89, 1, 3, run, 1, 1, 0, 0, head, zstd)
}

func compress(t testing.TB, b []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(b, nil)
}

// unsized is b as a stream, whose head does not say its size.
func unsized(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := zstd.NewWriter(&out, zstd.WithWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// resized changes the four bytes of a single segment's size.
func resized(b []byte, size uint32) []byte {
	b = slices.Clone(b)
	binary.LittleEndian.PutUint32(b[5:], size)
	return b
}
