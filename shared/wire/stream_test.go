package wire_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/wire"
)

func TestItemsComeOffAStreamAsTheyWereWrittenHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want [][]byte
		for _, n := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(250, 3000)), 0, 8).Draw(t, "sizes") {
			msg := bytes.Repeat([]byte{byte(n)}, n)
			before := len(stream)
			stream = wire.AppendItem(stream, msg)
			want = append(want, msg)
			if got := len(stream) - before; got != wire.ItemSize(n) {
				t.Fatalf("ItemSize(%d) = %d, the item has %d", n, wire.ItemSize(n), got)
			}
		}
		slow := rapid.SampledFrom([]func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
		}).Draw(t, "reader")
		r := wire.NewReader(slow(bytes.NewReader(stream)), 3000)
		for i := range want {
			got, err := r.Next()
			if err != nil || !bytes.Equal(got, want[i]) {
				t.Fatalf("item %d: %d bytes, %v", i, len(got), err)
			}
		}
		for range 2 {
			if _, err := r.Next(); err != io.EOF {
				t.Fatalf("at the end: %v", err)
			}
		}
	})
}

func TestAStreamCutInsideAnItemIsToldFromItsEnd(t *testing.T) {
	stream := wire.AppendItem(wire.AppendItem(nil, []byte("one")), bytes.Repeat([]byte("2"), 300))
	for n := range stream {
		r := wire.NewReader(bytes.NewReader(stream[:n]), 1000)
		var err error
		for err == nil {
			_, err = r.Next()
		}
		want := io.ErrUnexpectedEOF
		if n == 0 || n == 4 {
			want = io.EOF
		}
		if err != want {
			t.Errorf("cut at %d: %v, want %v", n, err, want)
		}
	}
}

func TestTheStreamsOwnErrorIsReturnedAfterTheItemsBeforeIt(t *testing.T) {
	broken := errors.New("broken")
	r := wire.NewReader(io.MultiReader(bytes.NewReader(wire.AppendItem(nil, []byte("one"))), iotest.ErrReader(broken)), 100)
	if got, err := r.Next(); err != nil || string(got) != "one" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := r.Next(); !errors.Is(err, broken) {
		t.Fatalf("want the stream's error, got %v", err)
	}
}

// I5: an announced length takes no memory: only bytes that came do.
func TestAReaderHoldsNoMoreThanItWasSent(t *testing.T) {
	announced := []byte{0x5a, 0, 3, 0xff, 0xff} // 256 KiB less one
	if n := allocated(func() {
		r := wire.NewReader(bytes.NewReader(announced), wire.MaxFrame)
		if _, err := r.Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("want an unexpected end, got %v", err)
		}
	}); n > 4096 {
		t.Errorf("%d bytes taken for an item that never came", n)
	}
	var le *wire.LimitError
	_, err := wire.NewReader(bytes.NewReader(announced), 1000).Next()
	if !errors.As(err, &le) || le.Size != 0x3ffff || le.Limit != 1000 {
		t.Errorf("want a limit error, got %v", err)
	}
}

// I5: gateways that each once took a backlog must not hold its memory.
func TestReadersThatWaitHoldNoLargeBuffer(t *testing.T) {
	const readers, most = 64, 2 << 20
	var spare wire.Spare
	large := wire.AppendItem(nil, make([]byte, wire.MaxFrame))
	var waiting []*wire.Reader
	before := heap()
	for range readers {
		r := spare.NewReader(bytes.NewReader(large), wire.MaxFrame)
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatal(err)
		}
		waiting = append(waiting, r)
	}
	if after := heap(); after > before+most {
		t.Errorf("%d readers that wait hold %d KiB", readers, (after-before)>>10)
	}
	runtime.KeepAlive(waiting)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the second frees what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestReadersThatShareBuffersShareNoMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var spare wire.Spare
		type reader struct {
			r    *wire.Reader
			want [][]byte
		}
		readers := make([]reader, 3)
		for i := range readers {
			var stream []byte
			for k, n := range rapid.SliceOfN(rapid.IntRange(0, 20_000), 1, 6).Draw(t, "sizes") {
				msg := bytes.Repeat([]byte{byte(16*i + k)}, n)
				stream = wire.AppendItem(stream, msg)
				readers[i].want = append(readers[i].want, msg)
			}
			readers[i].r = spare.NewReader(iotest.HalfReader(bytes.NewReader(stream)), 20_000)
		}
		held := make([][]byte, len(readers)) // until the next of the same reader
		for _, turn := range rapid.SliceOfN(rapid.IntRange(0, len(readers)-1), 18, 18).Draw(t, "turns") {
			who := &readers[turn]
			if len(who.want) == 0 {
				continue
			}
			var err error
			if held[turn], err = who.r.Next(); err != nil {
				t.Fatal(err)
			}
			who.want = who.want[1:]
			for i, msg := range held {
				if len(msg) > 0 && !bytes.Equal(msg, bytes.Repeat(msg[:1], len(msg))) || len(msg) > 0 && int(msg[0])/16 != i {
					t.Fatalf("the message of reader %d is overwritten", i)
				}
			}
		}
	})
}

func TestOnlyDefiniteShortestByteStringsAreItems(t *testing.T) {
	for _, stream := range [][]byte{
		{0x5f, 0x41, 0, 0xff},       // indefinite length
		{0x58, 3, 1, 2, 3},          // a length of 3 in two bytes
		{0x59, 0, 200},              // a length of 200 in three
		{0x63, 'a', 'b', 'c'},       // text
		{0x83, 1, 18, 1}, {0xf6, 0}, // an array, null
	} {
		var we *wire.Error
		if _, err := wire.NewReader(bytes.NewReader(stream), 1000).Next(); !errors.As(err, &we) {
			t.Errorf("%x: %v", stream, err)
		}
	}
}
