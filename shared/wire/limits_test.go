package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// I5, I6: a length in a message takes no memory before it is known to be
// within its limit and within the message.
func TestHostileLengthsTakeNoMemory(t *testing.T) {
	huge := []byte{0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff} // an array of 2^40 items
	hugeBytes := []byte{0x5a, 0xff, 0xff, 0xff, 0xff}           // a byte string of 4 GiB
	run := append([]byte{0x48}, make([]byte, 8)...)
	for _, c := range []struct {
		name  string
		bytes []byte
		parse func(b []byte) error
	}{
		{"blocks", sealed(0x89, 1, 1, run, 1, 1, 0, 0, huge), func(b []byte) error { _, err := wire.ParseFrame(b); return err }},
		{"columns of a block", sealed(0x89, 1, 1, run, 1, 1, 0, 0, 0x81, 0x84, 1, 1, 0, hugeBytes), func(b []byte) error { _, err := wire.ParseFrame(b); return err }},
		{"devices", cat(0x83, 1, 0x15, huge), func(b []byte) error { _, err := wire.ParseBind(b); return err }},
		{"many devices in few bytes", cat(0x83, 1, 0x15, 0x99, 4, 0), func(b []byte) error { _, err := wire.ParseBind(b); return err }},
		{"runs", cat(0x83, 1, 0x16, huge), func(b []byte) error { _, err := wire.ParseAck(b); return err }},
		{"boots", cat(0x8a, 1, 0x10, 1, 1, 0x60, 0x50, make([]byte, 16), 0, 0, huge), func(b []byte) error { _, err := wire.ParseHello(b); return err }},
		{"text", cat(0x86, 1, 0x17, run, 1, 1, 0x7a, 0xff, 0xff, 0xff, 0xff), func(b []byte) error { _, err := wire.ParseReject(b); return err }},
		{"args", cat(0x87, 1, 0x18, 25, 0x50, make([]byte, 16), 0x63, []byte("a/b"), 0x61, []byte("x"), 1, huge), func(b []byte) error { _, err := wire.ParseCommand(b); return err }},
		{"ids", cat(0x83, 1, 0x18, 27, huge), func(b []byte) error { _, err := wire.ParseSettled(b); return err }},
		{"addresses", cat(0x83, 1, 0x18, 28, huge), func(b []byte) error { _, err := wire.ParseNodes(b); return err }},
		{"columns of a body", cat(0x85, 1, 0x60, 1, 1, huge), func(b []byte) error { _, err := wire.ParseBody(b); return err }},
	} {
		var err error
		if n := allocated(func() { err = c.parse(c.bytes) }); n > 4096 {
			t.Errorf("%s: %d bytes taken", c.name, n)
		}
		var we *wire.Error
		if !errors.As(err, &we) || we.Reason != wire.RejectLimit && we.Reason != wire.RejectMalformed {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// I5: a few bytes of constant columns may not become an unbounded number of
// rows.
func TestAFrameHoldsMaxRowsInAll(t *testing.T) {
	f := wire.Frame{Seq: 1, Clk: 1}
	for sid := range uint32(2) {
		f.Blocks = append(f.Blocks, wire.Block{SID: sid + 1, N: wire.MaxRows / 2, Data: []byte{0, 0, 0}})
	}
	if _, err := wire.ParseFrame(f.Append(nil)); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(){
		func() { f.Blocks[1].N++ },
		func() { f.Blocks = f.Blocks[:1]; f.Blocks[0].N = wire.MaxRows + 1 },
	} {
		change()
		var we *wire.Error
		if _, err := wire.ParseFrame(f.Append(nil)); !errors.As(err, &we) || we.Reason != wire.RejectLimit {
			t.Fatalf("want a limit error, got %v", err)
		}
	}
}

func TestTwoBlocksOfOneSeriesAreRefusedAndAppendSortsThem(t *testing.T) {
	f := wire.Frame{Seq: 1, Clk: 1, Blocks: []wire.Block{{SID: 9, N: 1, Data: []byte{1}}, {SID: 2, N: 1, Data: []byte{2}}}}
	got, err := wire.ParseFrame(f.Append(nil))
	if err != nil || got.Blocks[0].SID != 2 || got.Blocks[0].Data[0] != 2 || got.Blocks[1].SID != 9 {
		t.Fatalf("%+v, %v", got.Blocks, err)
	}
	f.Blocks[0].SID = 9
	if _, err := wire.ParseFrame(f.Append(nil)); err == nil {
		t.Fatal("a sid was accepted twice")
	}
}

func TestAFrameIsReadAndWrittenWithoutAllocation(t *testing.T) {
	f := wire.Frame{Run: id.Run{1}, Seq: 1, Clk: 1}
	for sid := range uint32(20) {
		f.Blocks = append(f.Blocks, wire.Block{SID: sid + 1, N: 10, Data: make([]byte, 30)})
	}
	b := f.Append(nil)
	var back wire.Frame
	if n := testing.AllocsPerRun(100, func() {
		b = f.Append(b[:0])
		if err := back.Parse(b); err != nil {
			t.Fatal(err)
		}
	}); n > 1 { // the first run grows back.Blocks
		t.Errorf("%v allocations, want 0", n)
	}
}

// The largest hello and bind that the limits allow fit MaxControl.
func TestTheLargestControlMessagesFit(t *testing.T) {
	long := string(bytes.Repeat([]byte("a"), id.MaxName))
	bind := wire.Bind{}
	for range wire.MaxDevices {
		bind.Devices = append(bind.Devices, id.Device{Site: id.Site(long), Name: long})
	}
	if n := len(bind.Append(nil)); n > wire.MaxControl {
		t.Errorf("the largest bind has %d bytes, more than MaxControl %d", n, wire.MaxControl)
	}
	hello := wire.Hello{Boots: make([]id.Boot, wire.MaxBoots)}
	for range wire.MaxRuns {
		hello.Runs = append(hello.Runs, wire.RunInfo{Boot: wire.MaxBoots - 1, First: 1 << 40, Last: 1 << 41})
	}
	if n := len(hello.Append(nil)); n > wire.MaxControl {
		t.Errorf("the largest hello has %d bytes, more than MaxControl %d", n, wire.MaxControl)
	}
}

// cat joins bytes and byte slices.
func cat(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case []byte:
			out = append(out, p...)
		}
	}
	return out
}

// sealed is cat with a correct CRC behind.
func sealed(parts ...any) []byte {
	b := cat(parts...)
	return binary.BigEndian.AppendUint32(append(b, 0x44), crc(b))
}

// crc is CRC-32C bit by bit, as RFC 3720 defines it: an oracle for the table.
func crc(b []byte) uint32 {
	sum := ^uint32(0)
	for _, x := range b {
		sum ^= uint32(x)
		for range 8 {
			sum = sum>>1 ^ 0x82f63b78*(sum&1)
		}
	}
	return ^sum
}

// allocated returns the bytes that f takes from the heap: the least of some
// runs, because the runtime's own goroutines are counted too.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}
