package buffer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
)

// ledger prints what the ledger holds.
func (w *bench) ledger() string {
	w.t.Helper()
	all, err := w.buf.Ledger().Load()
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, v := range all {
		out = append(out, fmt.Sprintf("%d:%s", v.ID[0], v.Value))
	}
	return strings.Join(out, " ")
}

func ledgerValue(n byte, text string) buffer.LedgerValue {
	return buffer.LedgerValue{ID: id.Command{n}, Value: []byte(text)}
}

func TestWhatTheLedgerTookSurvivesACrashAndWhatIsGoneStaysGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, nil)
		w.sample(3)
		l := w.buf.Ledger()
		var many []buffer.LedgerValue // more than one batch holds
		for n := range byte(200) {
			many = append(many, ledgerValue(n, strings.Repeat("v", 1000)))
		}
		for _, put := range [][]buffer.LedgerValue{many, {ledgerValue(7, "seven"), ledgerValue(9, "nine"), ledgerValue(9, "ten")}} {
			if err := l.Write(put, nil); err != nil {
				t.Fatal(err)
			}
		}
		var gone []id.Command
		for n := range byte(200) {
			if n != 7 && n != 9 {
				gone = append(gone, id.Command{n})
			}
		}
		if err := l.Write(nil, gone); err != nil {
			t.Fatal(err)
		}
		w.crash()
		if got := w.ledger(); got != "7:seven 9:ten" {
			t.Errorf("the ledger holds %q", got)
		}
		w.close()
		if err := w.buf.Ledger().Write([]buffer.LedgerValue{ledgerValue(1, "late")}, nil); !errors.Is(err, buffer.ErrClosed) {
			t.Errorf("Write after Close = %v", err)
		}
	})
}

// I5: half of the reserve is the ledger's, the rest is nobody's.
func TestTheLedgerWritesNothingIntoTheLastOfTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, func(c *buffer.Config) { c.Reserve = 1 << 20 })
		defer w.close()
		l := w.buf.Ledger()
		w.disk.SetFree(3 << 18)
		if err := l.Write([]buffer.LedgerValue{ledgerValue(1, "one")}, nil); err != nil {
			t.Errorf("Write into the first half of the reserve: %v", err)
		}
		w.disk.SetFree(1 << 19)
		if err := l.Write([]buffer.LedgerValue{ledgerValue(2, "two")}, nil); !errors.Is(err, buffer.ErrFull) {
			t.Errorf("Write into the second half of the reserve: %v", err)
		}
		w.disk.SetFree(1 << 30)
		long := buffer.LedgerValue{ID: id.Command{3}, Value: make([]byte, buffer.MaxLedgerValue+1)}
		if err := l.Write([]buffer.LedgerValue{ledgerValue(4, "four"), long}, nil); err == nil {
			t.Error("a value beyond the limit was taken")
		}
		if got := w.ledger(); got != "1:one" {
			t.Errorf("the ledger holds %q", got)
		}
	})
}
