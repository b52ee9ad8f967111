package buffer_test

import (
	"math"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/shared/wire"
)

// I6: what a gate would reject is refused, and no row of others with it.
func TestAValueThatNoFrameCanHoldIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newBench(t, nil)
		defer w.close()
		for _, c := range []struct {
			kind  wire.ColumnKind
			value int64
			want  string
		}{
			{wire.KindFloat, int64(math.Float64bits(math.NaN())), "column 0 of hq/c1 is NaN"},
			{wire.KindFloat, int64(math.Float64bits(math.Inf(-1))), "column 0 of hq/c1 is -Inf"},
			{wire.KindText, 0, "want AppendText"},
		} {
			body := wire.Body{Profile: "test.one", Version: 1, Tick: 1_000_000, Columns: []wire.Column{{Point: "x", Kind: c.kind, Mantissa: 1}}}
			s, err := w.buf.Series(device(1), body, [32]byte{}, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Append(1, 0, []int64{c.value}, 0); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
		}
		if err := w.series(2).AppendText(1, "a"); err == nil {
			t.Error("a counter took a text")
		}
		if n := w.buf.Stats().Sampled; n != 0 {
			t.Errorf("%d readings of refused rows are counted", n)
		}
	})
}
