package profile

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/wire"
)

const whole = `id: acme.probe
version: 3
title: a probe
bus: {type: i2c, addr: [0x40, 0x41], max_hz: 400000}
tick: 100us
every: 2s
calib:
  steps: [{tx: {w: [0xc0], r: 2, as: c}}]
  raw: {k: {from: c, at: 1, type: u8}}
init: [{tx: {w: [1, 2]}}, {delay: 1ms}]
read:
  - tx: {w: [0x00], r: 6, as: a}
  - crc: {poly: 0x31, init: 0xff, word: 2}
  - tx: {w: [0x01], r: 1}
  - poll: {w: [2], mask: 0x80, eq: 0x80, every: 1ms, limit: 10ms}
raw:
  x: {from: a, at: 2, type: s16le}
  hi: {from: a, parts: [[0, 7, 4]]}
let: [{name: y, expr: x*k}]
points:
  - {name: level, expr: y, unit: m, resolution: 0.25, range: [-1e6, 1e6], deadband: 0.6}
  - {name: open, expr: hi, kind: boolean}
  - {name: pulses, expr: x, kind: counter, range: [0, 4294967295]}
`

func parse(t testing.TB, doc string) *Profile {
	t.Helper()
	p, err := Parse("p.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAProfileCompilesToProgramsAndPoints(t *testing.T) {
	p := parse(t, whole)
	var steps []string
	for _, s := range p.Read.Steps {
		steps = append(steps, fmt.Sprintf("%s %d+%d x%d", s.Op, s.At, s.N, s.Tries))
	}
	if want := []string{"tx 0+6 x0", "crc 0+6 x0", "tx 6+1 x0", "poll 0+0 x11"}; !slices.Equal(steps, want) || p.Read.Scratch != 7 {
		t.Errorf("read %v in %d bytes, want %v in 7", steps, p.Read.Scratch, want)
	}
	if !p.Bus.Has(0x41) || p.Bus.Has(0x42) || p.Bus.MaxHz != 400000 {
		t.Errorf("bus %+v", p.Bus)
	}
	body := p.Body()
	if body.Profile != "acme.probe" || body.Version != 3 || body.Tick != 100000 {
		t.Errorf("body %+v", body)
	}
	want := []wire.Column{
		{Point: "level", Unit: "m", Kind: wire.KindNumber, Mantissa: 25, Exponent: -2},
		{Point: "open", Unit: "1", Kind: wire.KindBoolean, Mantissa: 1},
		{Point: "pulses", Unit: "1", Kind: wire.KindCounter, Mantissa: 1},
	}
	if !slices.Equal(body.Columns, want) {
		t.Errorf("columns %+v, want %+v", body.Columns, want)
	}
	if i, ok := p.Point("open"); i != 1 || !ok {
		t.Errorf("Point(open) = %d, %v", i, ok)
	}
}

func TestDecodeQuantisesAndMarksEachPoint(t *testing.T) {
	p := parse(t, whole)
	v := p.NewValues()
	v.Calibrate([]byte{9, 2})
	row := []int64{77, 77, 77}
	// x = -3, hi = 0xf: level = -6, open, and a counter below its range.
	q := v.Decode([]byte{0xf0, 0, 0xfd, 0xff, 0, 0, 0}, row)
	if want := []int64{-24, 1, -3}; !slices.Equal(row, want) {
		t.Errorf("row %v, want %v", row, want)
	}
	for i, want := range []wire.Quality{wire.Good, wire.Good, wire.OutOfRange} {
		if got := wire.QualityOf(q, i); got != want {
			t.Errorf("point %d is %v, want %v", i, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { v.Decode([]byte{0xf0, 0, 0xfd, 0xff, 0, 0, 0}, row) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestABadValueKeepsTheOneBefore(t *testing.T) {
	p := parse(t, strings.Replace(whole, "expr: y,", "expr: y/hi,", 1))
	v := p.NewValues()
	v.Calibrate([]byte{0, 1})
	row := []int64{77, 77, 77}
	q := v.Decode(make([]byte, 7), row)
	if row[0] != 77 || wire.QualityOf(q, 0) != wire.Bad || wire.QualityOf(q, 1) != wire.Good || row[1] != 0 {
		t.Errorf("row %v, quality %b", row, q)
	}
}

func TestNumbersAreCutOutAsDescribed(t *testing.T) {
	scratch := []byte{0x80, 0x01, 0xff, 0x7f, 0xf5}
	for raw, want := range map[string]float64{
		"{at: 0, type: u8}": 0x80, "{at: 0, type: s8}": -128,
		"{at: 0, type: u16be}": 0x8001, "{at: 0, type: u16le}": 0x0180, "{at: 0, type: s16be}": -32767, "{at: 2, type: s16le}": 0x7fff,
		"{at: 0, type: u24be}": 0x8001ff, "{at: 0, type: s24be}": 0x8001ff - 1<<24, "{at: 0, type: u24le}": 0xff0180, "{at: 0, type: s24le}": 0xff0180 - 1<<24,
		"{at: 1, type: u32be}": 0x01ff7ff5, "{at: 1, type: s32le}": 0xf57fff01 - 1<<32, "{at: 1, type: u32le}": 0xf57fff01, "{at: 0, type: s32be}": 0x8001ff7f - 1<<32,
		"{at: 0, type: u16be, shift: 4}": 0x800, "{at: 0, type: s16be, shift: 4}": -2048, "{at: 0, type: u16be, mask: 0x0f}": 1, "{at: 0, type: u16be, shift: 8, mask: 0xf0}": 0x80,
		"{at: 3, type: u16be, sign: 13}": -11, "{at: 0, type: u8, sign: 8}": -128,
		"{parts: [[4, 7, 4], [0, 7, 7]]}": 0x1f, "{parts: [[4, 7, 4], [0, 7, 7]], sign: 5}": -1, "{parts: [[3, 6, 0], [4, 7, 0]], sign: 15}": -11,
	} {
		doc := "id: a.b\nversion: 1\nbus: {type: i2c, addr: [0x40]}\nread: [{tx: {r: 5}}]\nraw: {v: " + raw + "}\n" +
			"points: [{name: p, expr: v, unit: m, resolution: 1, range: [-1e12, 1e12]}]\n"
		p, err := Parse("p", []byte(doc))
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		row := []int64{0}
		if q := p.NewValues().Decode(scratch, row); float64(row[0]) != want || q != 0 {
			t.Errorf("%s = %d, want %v", raw, row[0], want)
		}
	}
}

func TestQuantisingAgreesWithExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Point{
			Mantissa: rapid.Uint64Range(1, 9999).Draw(t, "mantissa"), Exponent: rapid.IntRange(-6, 3).Draw(t, "exponent"),
			Min: math.Inf(-1), Max: math.Inf(1),
		}
		x := rapid.Float64Range(-1e6, 1e6).Draw(t, "x")
		got, q := p.Quantise(x)
		ten := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(p.Exponent, -p.Exponent))), nil))
		step := new(big.Rat).SetInt64(int64(p.Mantissa))
		if p.Exponent < 0 {
			step.Quo(step, ten)
		} else {
			step.Mul(step, ten)
		}
		// |v * step - x| is at most half a step, and a rounding error of x.
		off := new(big.Rat).SetInt64(got)
		off.Sub(off.Mul(off, step), new(big.Rat).SetFloat64(x)).Abs(off)
		bound := new(big.Rat).Quo(step, big.NewRat(2, 1))
		bound.Add(bound, new(big.Rat).SetFloat64(math.Abs(x)*1e-15))
		if q != wire.Good || off.Cmp(bound) > 0 {
			t.Fatalf("%v in steps of %de%d = %d (%v), off by %s", x, p.Mantissa, p.Exponent, got, q, off.FloatString(12))
		}
	})
}

func TestValuesWithoutAnIntegerAreBadNotWrong(t *testing.T) {
	p := Point{Mantissa: 1, Min: -10, Max: 10}
	for x, want := range map[float64]wire.Quality{
		math.Inf(1): wire.Bad, math.Inf(-1): wire.Bad, 1e300: wire.Bad, 1 << 54: wire.Bad,
		11: wire.OutOfRange, -10.01: wire.OutOfRange, 10: wire.Good, 1 << 53: wire.OutOfRange,
	} {
		if v, q := p.Quantise(x); q != want || q == wire.Bad && v != 0 {
			t.Errorf("Quantise(%v) = %d, %v, want %v", x, v, q, want)
		}
	}
	if _, q := p.Quantise(math.NaN()); q != wire.Bad {
		t.Errorf("NaN is %v", q)
	}
	p.Kind = wire.KindBoolean
	if v, q := p.Quantise(-3.5); v != 1 || q != wire.Good {
		t.Errorf("a boolean of -3.5 is %d, %v", v, q)
	}
	if _, q := p.Quantise(math.NaN()); q != wire.Bad {
		t.Errorf("a boolean of NaN is %v", q)
	}
}

func TestADeadbandIsRoundedUpToWholeSteps(t *testing.T) {
	p := Point{Mantissa: 1, Exponent: -1}
	for x, want := range map[float64]int64{0: 0, 0.01: 1, 0.1: 1, 0.3: 3, 0.31: 4, -1: 0, 1e300: 1 << 53} {
		if got := p.DeadbandQuanta(x); got != want {
			t.Errorf("DeadbandQuanta(%v) = %d, want %d", x, got, want)
		}
	}
}

func TestAResolutionIsExactAndInItsShortestForm(t *testing.T) {
	for in, want := range map[string]decimal{
		"0.0625": {625, -4}, "1": {1, 0}, "100": {1, 2}, "0.10": {1, -1}, "2.50": {25, -1}, "1e-3": {1, -3}, "25E2": {25, 2}, "999999999999999": {999999999999999, 0},
	} {
		var d decimal
		if err := d.UnmarshalText([]byte(in)); err != nil || d != want {
			t.Errorf("%s = %+v, %v, want %+v", in, d, err, want)
		}
	}
	for _, in := range []string{"", "0", "0.0", "-1", "+1", "1/3", "x", "1e99", "1e", "1.2.3", "1000000000000001", "1e-23", ".", "nan", "0x10"} {
		var d decimal
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was accepted as %+v", in, d)
		}
	}
}

func TestTheDigestIgnoresCommentsSpellingAndOrderAndNothingElse(t *testing.T) {
	base := parse(t, whole).Digest
	for name, doc := range map[string]string{
		"comment":  "# a comment\n" + whole,
		"spelling": strings.ReplaceAll(strings.Replace(whole, "version: 3", "version: 0x3", 1), "title: a probe", `title: "a probe"`),
		"fraction": strings.Replace(whole, "range: [0, 4294967295]", "range: [0.0, 4.294967295e9]", 1),
		"order":    strings.Replace(strings.Replace(whole, "version: 3\n", "", 1), "every: 2s\n", "every: 2s\nversion: 3\n", 1),
	} {
		if parse(t, doc).Digest != base {
			t.Errorf("%s changes the digest", name)
		}
	}
	for name, doc := range map[string]string{
		"timing": strings.Replace(whole, "delay: 1ms", "delay: 2ms", 1),
		"value":  strings.Replace(whole, "expr: x*k", "expr: x*k+0", 1),
		"title":  strings.Replace(whole, "a probe", "a sonde", 1),
	} {
		p := parse(t, doc)
		if p.Digest == base {
			t.Errorf("a changed %s keeps the digest", name)
		}
		a, b := p.Body(), parse(t, whole).Body()
		if wire.HashBody(a.Append(nil)) != wire.HashBody(b.Append(nil)) {
			t.Errorf("a changed %s, which is no column, changes the series", name)
		}
	}
}

// TestEveryFaultIsNamedWithItsPlace replaces one text of a profile by another
// and prints the error.
func TestEveryFaultIsNamedWithItsPlace(t *testing.T) {
	for file, doc := range map[string]string{"errors": whole, "errors-gpio": door} {
		datadriven.RunTest(t, "testdata/"+file, func(t *testing.T, d *datadriven.TestData) string {
			old, replacement, ok := strings.Cut(d.Input+" ", " => ")
			if !ok || strings.Count(doc, old) != 1 {
				d.Fatalf(t, "want a text that occurs once, => and its replacement")
			}
			_, err := Parse("p.yaml", []byte(strings.Replace(doc, old, strings.TrimSuffix(replacement, " "), 1)))
			var e *config.Error
			if err != nil && (!errors.As(err, &e) || e.Line == 0) {
				d.Fatalf(t, "not a placed error: %v", err)
			}
			return fmt.Sprintln(err)
		})
	}
}

func TestAProfileIsBounded(t *testing.T) {
	many := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one, n), ", ") }
	for name, c := range map[string]struct{ old, replacement, want string }{
		"steps":   {"init: [", "init: [" + many(maxSteps, "{delay: 1ms}, ") + ", ", "at most 64"},
		"waits":   {"{delay: 1ms}", many(3, "{delay: 10s}, "), "add up to more than 20s"},
		"write":   {"w: [1, 2]", "w: [" + many(maxWrite+1, "1, ") + "]", "65 bytes, at most 64"},
		"scratch": {"read:\n", "read:\n" + strings.Repeat("  - tx: {r: 256}\n", 4), "more than 1024 bytes"},
		"title":   {"a probe", strings.Repeat("x", maxTitle+1), "at most 120"},
	} {
		doc := strings.Replace(whole, c.old, c.replacement, 1)
		if _, err := Parse("p.yaml", []byte(doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	var names, points strings.Builder
	for i := range maxNames {
		fmt.Fprintf(&names, "  n%d: {from: a, at: 0, type: u8}\n", i)
	}
	for i := range wire.MaxColumns {
		fmt.Fprintf(&points, "  - {name: p%d, expr: x, kind: boolean}\n", i)
	}
	for doc, want := range map[string]string{
		strings.Replace(whole, "raw:\n  x", "raw:\n"+names.String()+"  x", 1): "more than 128 names",
		strings.Replace(whole, "points:\n", "points:\n"+points.String(), 1):   "want 1 to 31 points, got 34",
	} {
		if _, err := Parse("p.yaml", []byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// FuzzParse: no document makes the compiler panic, and what compiles also
// decodes whatever its programs read and has levels for every command.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(door))
	f.Add([]byte("id: a.b\nversion: 1\nbus: {type: i2c, addr: [0x40]}\nread: [{tx: {r: 5}}]\nraw: {v: {at: 1, type: u32be, sign: 32, shift: 31}}\npoints: [{name: p, expr: 1/v, unit: m, resolution: 1e-9, range: [0, 1]}]\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := Parse("f.yaml", doc)
		if err != nil {
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("not a placed error: %v", err)
			}
			return
		}
		body := p.Body()
		if _, err := wire.ParseBody(body.Append(nil)); err != nil {
			t.Fatalf("the columns are no schema: %v", err)
		}
		v := p.NewValues()
		scratch := slices.Repeat([]byte{0xff}, max(p.Read.Scratch, p.Calibration.Scratch))
		v.Calibrate(scratch[:p.Calibration.Scratch])
		v.Decode(scratch[:p.Read.Scratch], make([]int64, len(p.Points)))
		for _, c := range p.Commands {
			checkCommand(t, p, &c)
		}
	})
}
