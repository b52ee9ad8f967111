package site

import (
	"bytes"
	"slices"
	"testing"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/wire"
)

// What a frame says does not depend on its form, and a row keeps its bytes
// while the next packed frame is read: history writes both in one batch.
func TestAPackedFrameIsAppliedAsThePlainOne(t *testing.T) {
	g, out := opened(t)
	values := make([]int64, 400)
	for i := range values {
		values[i] = 7 * int64(i%5)
	}
	plain := frameOf(gw1, run(1), 1, 1, 1000, values...)
	step(g, out, plain, true)
	want := slices.Clone(out.blocks[0].row.Data)
	if out.applied != 1 {
		t.Fatalf("%d blocks of the plain frame are applied", out.applied)
	}

	g, out = opened(t)
	step(g, out, pack(t, plain), true)
	if out.applied != 1 || out.blocks[0].rows.Len() != len(values) {
		t.Fatalf("%d blocks of the packed frame are applied", out.applied)
	}
	first := out.blocks[0].row.Data
	slices.Reverse(values)
	step(g, out, pack(t, frameOf(gw1, run(1), 2, 1, 3000, values...)), true)
	if out.applied != 1 || !bytes.Equal(first, want) {
		t.Error("the row of the first frame is not what its plain form says")
	}
}

func pack(t *testing.T, rec journal.Record) journal.Record {
	t.Helper()
	f, err := wire.ParseFrame(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p wire.Packer
	rec.Body = p.Append(nil, &f)
	if k, _ := wire.Peek(rec.Body); k != wire.KindPacked {
		t.Fatalf("the frame is a %s: it was to be packed", k)
	}
	return rec
}
