package wire

import (
	"testing"

	"pgregory.net/rapid"
)

// What riceParameter says a column takes decides which codec is chosen: it
// must be what appendRice then writes, with escapes and without.
func TestARiceColumnTakesTheBitsThatItWasChosenFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SampledFrom([]uint{1, 4, 12, 40, 62}).Draw(t, "bits")
		spike := rapid.SampledFrom([]uint{1, 62}).Draw(t, "spike")
		v := rapid.SliceOfN(rapid.Int64Range(0, 1<<bits-1), 2, 3*chunk).Draw(t, "v")
		v[len(v)/2] += 1 << spike
		p := plan{codec: codecDelta, base: v[0], start: 1}
		s := measure(v, plan{codec: codecLine, base: mean(v)})
		cost := riceParameter(v, &p, s.delta)
		if p.k == riceExact {
			return
		}
		got := 8 * len(appendRice(nil, v, &p))
		if got < cost || got >= cost+8 {
			t.Fatalf("k = %d was said to take %d bits, it takes %d", p.k, cost, got)
		}
	})
}
