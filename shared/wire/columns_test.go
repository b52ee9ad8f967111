package wire_test

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/wire"
)

func TestColumnsComeBackAsTheyWentWhateverTheyHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRows(t)
		grid := rapid.OneOf(rapid.Just(uint64(0)), rapid.Just(uint64(1000)), rapid.Uint64()).Draw(t, "grid")
		b := wire.AppendColumns([]byte("before"), &want, grid)[len("before"):]
		shape := shapeOf(&want)
		var got wire.Rows
		if err := wire.ParseColumns(b, want.Len(), shape, grid, want.T[0], &got); err != nil {
			t.Fatalf("%v: %x", err, b)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		for n := range b {
			err := wire.ParseColumns(b[:n:n], want.Len(), shape, grid, 0, &got)
			var we *wire.Error
			if !errors.As(err, &we) || we.Reason != wire.RejectMalformed {
				t.Fatalf("columns cut at %d of %d: %v", n, len(b), err)
			}
		}
		if err := wire.ParseColumns(append(b, 0), want.Len(), shape, grid, 0, &got); err == nil {
			t.Fatal("a byte after the columns was accepted")
		}
	})
}

// shapeOf is the shape of r: its columns are numbers or texts.
func shapeOf(r *wire.Rows) wire.Shape {
	columns := make([]wire.Column, len(r.V))
	for i := range r.Texts {
		if r.Texts[i] != nil {
			columns[i].Kind = wire.KindText
		}
	}
	return wire.ShapeOf(columns)
}

// drawRows makes columns of every shape, extremes and outliers among them, and
// texts in the last one at times.
func drawRows(t *rapid.T) wire.Rows {
	n := rapid.OneOf(rapid.Just(1), rapid.IntRange(1, 12), rapid.IntRange(120, 400)).Draw(t, "rows")
	r := wire.Rows{T: drawColumn(t, n), V: make([][]int64, rapid.IntRange(1, 3).Draw(t, "columns"))}
	for _, q := range drawColumn(t, n) {
		r.Q = append(r.Q, uint64(q))
	}
	for i := range r.V {
		r.V[i] = drawColumn(t, n)
	}
	if rapid.Bool().Draw(t, "texts") {
		last := len(r.V) - 1
		words := rapid.SliceOfN(rapid.StringN(0, 8, 40), 1, 20).Draw(t, "words")
		for row := range n {
			r.V[last][row], _ = r.Text(last, rapid.SampledFrom(words).Draw(t, "word"))
		}
	}
	return r
}

func drawColumn(t *rapid.T, n int) []int64 {
	width := rapid.IntRange(0, 63).Draw(t, "width")
	rare := rapid.IntRange(1, 40).Draw(t, "every")
	outlier := rapid.IntRange(-1, n-1).Draw(t, "outlier")
	slope := rapid.SampledFrom([]int64{0, 0, 1, 1000, math.MaxInt64}).Draw(t, "slope")
	seed := rapid.Uint64().Draw(t, "seed")
	out := make([]int64, n)
	x := rapid.Int64().Draw(t, "start")
	for i := range out {
		seed = seed*6364136223846793005 + 1442695040888963407
		if noise := int64(seed) >> (63 - width); i%rare == 0 {
			x += noise
		}
		out[i] = x + int64(i)*slope
		if i == outlier {
			out[i] = math.MinInt64
		}
	}
	return out
}

// Each vector is derived by hand from PROTOCOL.md's table.
func TestColumnsAreLaidOutAsTheProtocolSays(t *testing.T) {
	for _, c := range []struct {
		name string
		rows wire.Rows
		grid uint64
		want string
	}{
		// One row: time and quality are a constant 0, the value 300 is varint 600.
		{"one row", column(300), 0, "00 00 01d804"},
		// Times on the grid: codec 3, k 31. Value 0 without a base.
		{"on the grid", wire.Rows{T: []int64{5, 15, 25}, Q: make([]uint64, 3), V: [][]int64{{0, 0, 0}}}, 10, "7f 00 00"},
		// Times 0, 11, 20 on a grid of 10: residuals +1, 0 are 2, 0; k 0: 110 0.
		{"late", wire.Rows{T: []int64{5, 16, 25}, Q: make([]uint64, 3), V: [][]int64{{0, 0, 0}}}, 10, "60 c0 00 00"},
		// Differences 3, -1, 3, -1, 3 are 6, 1, 6, 1, 6; k 2: 1010 001 1010 001 1010.
		{"delta", column(0, 3, 2, 5, 4, 7), 0, "00 00 2200 a34680"},
		// Differences of differences 100, 0, 1, -1 are 200, 0, 2, 1; k 5:
		// 1111110 01000, 000000, 000010, 000001.
		{"delta2", column(0, 100, 200, 301, 401), 0, "00 00 4500 fc800204"},
		// Residuals to 8: -1, 0, -1, 0, 2, 0 are 1, 0, 1, 0, 4, 0; k 0.
		{"line", column(7, 8, 7, 8, 10, 8), 0, "00 00 6010 93c0"},
		// 34 rows of 0, a step of 1, 2 rows.
		{"runs", column(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1), 0, "00 00 8000 22 02 02"},
		// One difference of 0x123456789a, 0x2468acf134 in zigzag.
		{"varint", column(0, 0x123456789a), 0, "00 00 a000 b4e2b3c5c604"},
		// 1, 1.5, 1 and 1 as float64s: base z(3ff0...) = 7fe0...; the XORs are bit 51,
		// bit 51, 0: new window, 12 zeros lead, 1 bit: 11 01100 000000 1; the window
		// again: 10 1; 0.
		{"xor", column(bits(1), bits(1.5), bits(1), bits(1)), 0, "00 00 c0 80808080808080f07f d80680"},
		// Level 0, slope 0, in 1/256. 0 is predicted, 600 comes: 1200; off by 153600,
		// level 76800, slope 19200. 96000, that is 375, comes 100: -275 is 549; off by
		// -70400, level 60800, slope 10400. 71200, 278, comes 700: 844; off by 108000,
		// level 125200, slope 23900. 149100, 582, comes 200: -382 is 763; k 9:
		// 110 010110000, 10 000100101, 10 101001100, 10 011111011.
		{"trend", column(0, 600, 100, 700, 200), 0, "00 00 c900 cb084b5327d8"},
		// Two strings; their indexes 0, 1, 0 by line: base 0, k 0: 0 110 0.
		{"text", wire.Rows{V: [][]int64{{0, 1, 0}}, Texts: [][]string{{"off", "on"}}}, 0, "00 00 e0 02 036f6666 026f6e 600060"},
	} {
		for len(c.rows.T) < len(c.rows.V[0]) {
			c.rows.T, c.rows.Q = append(c.rows.T, 0), append(c.rows.Q, 0)
		}
		want := strings.ReplaceAll(c.want, " ", "")
		if got := hex.EncodeToString(wire.AppendColumns(nil, &c.rows, c.grid)); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}

// A residual of 24 << k or more is 24 ones and 64 bits.
func TestAnEscapedResidualIsRead(t *testing.T) {
	data, err := hex.DecodeString("00002000" + "ffffff" + "0000000000000018")
	if err != nil {
		t.Fatal(err)
	}
	var rows wire.Rows
	if err := wire.ParseColumns(data, 2, wire.Numbers(1), 0, 0, &rows); err != nil || rows.V[0][1] != 12 {
		t.Fatalf("%v, %v", rows.V, err)
	}
}

func bits(x float64) int64 { return int64(math.Float64bits(x)) }

func column(v ...int64) wire.Rows { return wire.Rows{V: [][]int64{v}} }

// The codecs that AppendColumns takes for each shape: a shape that stops
// taking its codec has lost what the codec is for.
func TestEachShapeOfColumnTakesItsCodec(t *testing.T) {
	shape := func(n int, f func(i int64) int64) []int64 {
		out := make([]int64, n)
		for i := range out {
			out[i] = f(int64(i))
		}
		return out
	}
	noise := func(i int64) int64 { return i * 7919 % 61 }
	for _, c := range []struct {
		name   string
		values []int64
		codec  byte // and for codec 6, which is two, whether it has a parameter
		k      bool
	}{
		{name: "constant", values: shape(50, func(int64) int64 { return 5 }), codec: 0},
		{name: "a slow walk", values: shape(50, func(i int64) int64 { return i / 3 * (1 - 2*(i/25)) }), codec: 1},
		{name: "a slope", values: shape(50, func(i int64) int64 { return i*i + i%2 }), codec: 2},
		{name: "white noise", values: shape(200, noise), codec: 3},
		{name: "a switch", values: shape(200, func(i int64) int64 { return i / 100 }), codec: 4},
		{name: "a heavy tail", values: shape(60, func(i int64) int64 { return (i % 2) * 0x123456789a >> (i % 37) }), codec: 5},
		{name: "floats that wander", values: shape(50, func(i int64) int64 { return bits(20 + float64(i*7%11)/8) }), codec: 6},
		{name: "a swing under noise", values: shape(200, func(i int64) int64 {
			return int64(5000*math.Sin(float64(i)/40)) + 4*noise(i)
		}), codec: 6, k: true},
	} {
		r := wire.Rows{T: make([]int64, len(c.values)), Q: make([]uint64, len(c.values)), V: [][]int64{c.values}}
		head := wire.AppendColumns(nil, &r, 0)[2]
		if codec, k := head>>5, head&31 > 0; codec != c.codec || codec == 6 && k != c.k {
			t.Errorf("%s takes codec byte %#02x, want codec %d, with a parameter: %v", c.name, head, c.codec, c.k)
		}
	}
}

// What a trend has learned goes on from one chunk of residuals to the next.
func TestALongSwingUnderNoiseComesBack(t *testing.T) {
	want := wire.Rows{V: make([][]int64, 1)}
	for i := range int64(1000) {
		want.T, want.Q = append(want.T, i), append(want.Q, 0)
		want.V[0] = append(want.V[0], int64(5000*math.Sin(float64(i)/40))+i*7919%241)
	}
	b := wire.AppendColumns(nil, &want, 1)
	if head := b[2]; head>>5 != 6 || head&31 == 0 {
		t.Fatalf("codec byte %#02x: the swing was to take the trend", head)
	}
	var got wire.Rows
	if err := wire.ParseColumns(b, want.Len(), wire.Numbers(1), 1, 0, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestAHostileColumnIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"texts where none are", "00 00 e0", "codec byte 0xe0"},
		{"a trend of no parameter that there is", "00 00 df00", "codec byte 0xdf"},
		{"a window kept that never was", "00 00 c000 a0", "XORs"},
		{"a window of 95 bits", "00 00 c000 fff80000000000000000", "XORs"},
		{"a window that ends early", "00 00 c000 c7e0", "XORs"},
		{"XORs filled with ones", "00 00 c000 1f", "XORs"},
		{"a parameter on runs", "00 00 8100", "codec byte 0x81"},
		{"a constant base of 0", "00 00 0100", "0 as a constant base"},
		{"a constant base in times", "01 00 00", "time column"},
		{"XORs in times", "c0 00 00 00", "time column has codec 6"},
		{"a trend in times", "c1 00 00 00", "time column has codec 6"},
		{"a varint of two bytes for 1", "00 00 018100", "shortest varint"},
		{"a varint over 64 bits", "00 00 01 ffffffffffffffffff02", "shortest varint"},
		{"a run of no rows", "00 00 8000 00", "run of 0 rows"},
		{"a run past the end", "00 00 8000 05", "run of 5 rows, 4 are left"},
		{"a run of 2^64-1 rows", "00 00 8000 ffffffffffffffffff01", "4 are left"},
		{"a step of 0", "00 00 8000 01 00 03", "step of 0"},
		{"bits that end early", "00 00 2000", "too few"},
		{"padding of ones", "00 00 2000 1f", "Rice"},
		{"an escape that was not needed", "00 00 2000 ffffff 0000000000000001 00", "Rice"},
		{"an escape cut", "00 00 2000 ffffff 00000000", "Rice"},
		{"a column too few", "00 00", "2 bytes for 3 columns"},
		{"a column too many", "00 00 00 00", "1 bytes after"},
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(c.data, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var rows wire.Rows
		if err := wire.ParseColumns(data, 4, wire.Numbers(1), 0, 0, &rows); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want an error with %q, got %v", c.name, c.want, err)
		}
	}
	var rows wire.Rows
	for _, n := range []int{-1, 0, wire.MaxRows + 1} {
		if err := wire.ParseColumns(make([]byte, 3), n, wire.Numbers(1), 0, 0, &rows); err == nil {
			t.Errorf("%d rows were accepted", n)
		}
	}
	for _, n := range []int{-1, 0, wire.MaxColumns + 1} {
		if err := wire.ParseColumns(make([]byte, 100), 1, wire.Numbers(n), 0, 0, &rows); err == nil {
			t.Errorf("%d columns were accepted", n)
		}
	}
}

func TestQualityThatIsAllGoodCostsOneByte(t *testing.T) {
	r := wire.Rows{T: []int64{1, 2, 3}, Q: []uint64{0, 0, 0}, V: [][]int64{{1, 1, 1}}}
	if b := wire.AppendColumns(nil, &r, 1); len(b) != 1+1+2 {
		t.Fatalf("%x has %d bytes, want 4", b, len(b))
	}
}

func TestABlocksFirstTickIsFoundAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, t0 := rapid.Int64().Draw(t, "first"), rapid.Int64().Draw(t, "t0")
		tick := rapid.Uint64().Draw(t, "tick")
		if got := wire.FirstTick(t0, wire.DT0(first, t0, tick), tick); got != first {
			t.Fatalf("%d came back as %d", first, got)
		}
	})
	for _, c := range []struct {
		t0   int64
		tick uint64
		want int64
	}{{1, 1_000_000, 1}, {7, 2_000_000, 3}, {-7, 2_000_000, -4}, {3, 1, 3_000_000}, {0, 5, 0}, {1, 0, 1_000_000}} {
		if got := wire.FirstTick(c.t0, 0, c.tick); got != c.want {
			t.Errorf("FirstTick(%d ms, tick %d ns) = %d, want %d", c.t0, c.tick, got, c.want)
		}
	}
}

func TestRowsKeepTheirMemoryAndCopyWhatTheyAreGiven(t *testing.T) {
	var r wire.Rows
	v := []int64{1, 2}
	fill := func() {
		r.Reset()
		for i := range int64(100) {
			v[0] = i
			r.Append(i, 0, v)
		}
	}
	fill()
	if r.Len() != 100 || r.V[0][0] != 0 || r.V[0][99] != 99 {
		t.Fatalf("%d rows, first %d, last %d", r.Len(), r.V[0][0], r.V[0][99])
	}
	if n := testing.AllocsPerRun(20, fill); n != 0 {
		t.Errorf("%v allocations a refill, want 0", n)
	}
}
