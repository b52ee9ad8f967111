package buffer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/wire"
)

// kinds counts the messages of a sequence by kind.
func kinds(t *testing.T, sequence []byte) map[wire.Kind]int {
	t.Helper()
	got := map[wire.Kind]int{}
	r := wire.NewReader(bytes.NewReader(sequence), wire.MaxFrame)
	for {
		msg, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		k, err := wire.Peek(msg)
		if err != nil {
			t.Fatal(err)
		}
		got[k]++
	}
}

func TestAnExportHoldsWhatWouldGoOntoALane(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.event(1)
		w.stored() // three frames of telemetry
		store, err := w.disk.Open()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		damaged, err := buffer.Export(t.Context(), store, &out)
		if err != nil || damaged != 0 {
			t.Fatalf("Export = %d, %v", damaged, err)
		}
		if got := kinds(t, out.Bytes()); got[wire.KindFrame] != 4 || got[wire.KindSchema] != 2 || got[wire.KindClock] != 2 {
			t.Fatalf("exported %v", got)
		}
		w.disk.Damage(kind('f'))
		out.Reset()
		if damaged, err = buffer.Export(t.Context(), store, &out); err != nil || damaged != 1 || kinds(t, out.Bytes())[wire.KindFrame] != 3 {
			t.Fatalf("with a damaged segment: Export = %d, %v", damaged, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := buffer.Export(ended, store, &out); !errors.Is(err, context.Canceled) {
			t.Fatalf("Export = %v after its end", err)
		}
	})
}

func TestTheQuarantineIsExportedWithWhatItsFramesNeed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		s := w.connect()
		c := w.buf.Cursor(s.Live[0])
		w.sample(2)
		settle(time.Second)
		w.event(1)
		if items, _ := w.pull(c); len(items) != 1 {
			t.Fatalf("%d frames", len(items))
		}
		if err := w.buf.Reject(s.Live[0], 1, wire.RejectLimit); err != nil {
			t.Fatal(err)
		}
		w.close()
		store, err := w.disk.Open()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if damaged, err := buffer.ExportQuarantine(t.Context(), store, &out); err != nil || damaged != 0 {
			t.Fatalf("ExportQuarantine = %d, %v", damaged, err)
		}
		if got := kinds(t, out.Bytes()); got[wire.KindFrame] != 1 || got[wire.KindSchema] != 1 || got[wire.KindClock] != 1 || got[wire.KindGap] != 0 {
			t.Fatalf("exported %v", got)
		}
	})
}
