package expr

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var names = []string{"x", "y", "z_1"}

func slotOf(name string) (int, bool) {
	for i, n := range names {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

func TestValuesFollowPrecedenceAndTheFunctions(t *testing.T) {
	slots := []float64{3, -2, 0.5}
	for src, want := range map[string]float64{
		"1 + 2 * 3": 7, "(1 + 2) * 3": 9, "7 - 2 - 1": 4, "16 / 4 / 2": 2, "-x": -3, "--x": 3, "-x*y": 6, "2 - -3": 5,
		"x > y": 1, "x < y": 0, "x >= 3": 1, "x <= 2": 0, "x == 3": 1, "x != 3": 0, "1 + 1 == 2": 1,
		"x > 0 ? 10 : 20": 10, "y > 0 ? 10 : 20": 20, "0 ? 1 : 0 ? 2 : 3": 3, "1 ? x : y/0": 3, "(y == -2 ? 2 : 4) + z_1": 2.5,
		"min(x, y)": -2, "max(x, max(y, 7))": 7, "abs(y)": 2, "floor(-0.5)": -1, "sqrt(x*x)": 3, "pow(2, 10)": 1024,
		"0x10 + 1e3 + .5": 1016.5, "4294967296*4": 17179869184, "18446744073709551615": math.Pow(2, 64),
	} {
		p, err := Compile(src, slotOf)
		if err != nil {
			t.Errorf("%s: %v", src, err)
		} else if got := p.Run(slots); got != want {
			t.Errorf("%s = %v, want %v", src, got, want)
		}
	}
}

func TestDivisionByZeroAndOverflowCannotBeClampedIntoANumber(t *testing.T) {
	for _, src := range []string{"1/0", "x/(y-y)", "max(0, min(100, x/(y-y)))", "-1/0", "0/0", "sqrt(-1)", "pow(10, 400)", "pow(0, -1)", "abs(1/0) + 1"} {
		p, err := Compile(src, slotOf)
		if err != nil {
			t.Errorf("%s: %v", src, err)
		} else if got := p.Run([]float64{3, 4, 5}); !math.IsNaN(got) {
			t.Errorf("%s = %v, want NaN", src, got)
		}
	}
}

// I6: 0/0 says that there is no value, and whatever depends on it has none.
func TestNoValueCannotBecomeANumber(t *testing.T) {
	for _, src := range []string{
		"x > 5", "x <= 5", "x == x", "x != 1", "5 > x", "x ? 1 : 2", "x > 0 ? 1 : y ? 2 : 3", "y + (x ? 1 : 2)*y",
		"pow(x, 0)", "pow(1, x)", "min(x, y)", "max(y, x)", "0/0 ? 1 : 2", "0/0 == 0/0", "1 + (0/0 ? y : 2)", "-x", "abs(floor(sqrt(x)))",
	} {
		p, err := Compile(src, slotOf)
		if err != nil {
			t.Errorf("%s: %v", src, err)
		} else if got := p.Run([]float64{math.NaN(), 4, 5}); !math.IsNaN(got) {
			t.Errorf("%s = %v, want NaN", src, got)
		}
	}
	p, err := Compile("y > 0 ? 7 : x", slotOf) // the other side is not depended on
	if err != nil || p.Run([]float64{math.NaN(), 4, 5}) != 7 {
		t.Errorf("a side that is not taken counts: %v", err)
	}
}

func TestErrorsNameTheCharacterAndWhatIsWanted(t *testing.T) {
	for src, want := range map[string]string{
		"":                               "at character 1: want a number, a name, - or (, got the end",
		"x +":                            "at character 4: want a number",
		"x y":                            "at character 3: want an operator or the end, got 'y'",
		"(x":                             `at character 3: want ")", got the end`,
		"1 ? 2":                          `at character 6: want ":"`,
		"a + 1":                          `at character 1: unknown name "a"`,
		"x + sin(1)":                     `at character 5: unknown function "sin", want one of abs, floor`,
		"min(1)":                         `want "," (min takes 2 values)`,
		"abs(1, 2)":                      `want ")" (abs takes 1 values)`,
		"1 < x < 2":                      "at character 7: want an operator or the end, got '<'",
		"1.2.3":                          `at character 1: want a number, got "1.2.3"`,
		"0xg":                            "want a number",
		"1e999":                          "want a number",
		"1_000":                          "want a number",
		"x = 1":                          "got '='",
		"é":                              "got 'é'",
		"min":                            `unknown name "min"`,
		"x & 1":                          "got '&'",
		"\"text\"":                       "want a number",
		"1 +\n* 2":                       "at character 5",
		"x ? 1 : 2 : 3":                  "at character 11",
		"pow(2,3":                        `want ")"`,
		"Inf":                            `unknown name "Inf"`,
		"x.y":                            "got '.'",
		strings.Repeat("(", 100) + "1":   "nested deeper than 64",
		strings.Repeat("-", 200) + "1":   "nested deeper than 64",
		strings.Repeat("x+", 300) + "x":  "too large: 601 steps",
		strings.Repeat("x", MaxSource+1): "at most 1024",
	} {
		_, err := Compile(src, slotOf)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%.40q) = %v, want %q", src, err, want)
		}
	}
}

func TestANameIsWhatAnExpressionReadsAsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching("[azAZ_09@\\[`{é .(+-]{0,3}").Draw(t, "s")
		asked := false
		_, err := Compile(s, func(name string) (int, bool) {
			asked = name == s
			return 0, asked
		})
		if want := asked && err == nil; IsName(s) != want {
			t.Fatalf("%q: IsName %v, the expression is a name: %v (%v)", s, IsName(s), want, err)
		}
	})
}

func TestTheStackIsBoundedAtCompileTime(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("x-(", n) + "x" + strings.Repeat(")", n) }
	p, err := Compile(nest(MaxStack-1), slotOf)
	if err != nil {
		t.Fatal(err)
	}
	p.Run([]float64{1, 2, 3})
	if _, err := Compile(nest(MaxStack), slotOf); err == nil || !strings.Contains(err.Error(), "waiting values") {
		t.Fatalf("got %v, want a refusal of %d waiting values", err, MaxStack+1)
	}
}

func TestConstantsAreFolded(t *testing.T) {
	for src, want := range map[string]int{"1 + 2*3": 1, "x*(2 - 1)": 3, "1 > 2 ? x : y": 1, "max(1, 2)/4": 1} {
		p, err := Compile(src, slotOf)
		if err != nil || len(p.code) != want {
			t.Errorf("%s: %d instructions, %v, want %d", src, len(p.code), err, want)
		}
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	p, err := Compile("x > 0 ? max(0, min(100, x*(1 - y*z_1/524288))) : pow(x, 2)", slotOf)
	if err != nil {
		t.Fatal(err)
	}
	slots := []float64{3, -2, 0.5}
	if n := testing.AllocsPerRun(100, func() { p.Run(slots) }); n != 0 {
		t.Fatalf("%v allocations, want 0", n)
	}
}

// oracle is an expression as text and as a Go function.
type oracle struct {
	src  string
	eval func(s []float64) float64
}

func drawExpr(t *rapid.T, depth int) oracle {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
		if i := rapid.IntRange(0, 2*len(names)-1).Draw(t, "slot"); i < len(names) {
			return oracle{names[i], func(s []float64) float64 { return s[i] }}
		}
		v := float64(rapid.IntRange(0, 20).Draw(t, "value")) / 4
		return oracle{fmt.Sprint(v), func([]float64) float64 { return v }}
	}
	a, b := drawExpr(t, depth-1), drawExpr(t, depth-1)
	infix := func(sign string, f func(x, y float64) float64) oracle {
		return oracle{"(" + a.src + " " + sign + b.src + ")", func(s []float64) float64 { return f(a.eval(s), b.eval(s)) }}
	}
	switch rapid.IntRange(0, 7).Draw(t, "op") {
	case 0:
		return infix("+", func(x, y float64) float64 { return x + y })
	case 1:
		return infix("-", func(x, y float64) float64 { return x - y })
	case 2:
		return infix("*", func(x, y float64) float64 { return x * y })
	case 3:
		return infix("/", func(x, y float64) float64 {
			if y == 0 {
				return math.NaN()
			}
			return x / y
		})
	case 4:
		return infix("<", func(x, y float64) float64 { return truthOrNaN(x, y, x < y) })
	case 5:
		return infix(">=", func(x, y float64) float64 { return truthOrNaN(x, y, x >= y) })
	case 6:
		return oracle{"-max(" + a.src + "," + b.src + ")", func(s []float64) float64 { return -math.Max(a.eval(s), b.eval(s)) }}
	}
	c := drawExpr(t, depth-1)
	return oracle{"(" + c.src + " ? " + a.src + " : " + b.src + ")", func(s []float64) float64 {
		switch v := c.eval(s); {
		case math.IsNaN(v):
			return v
		case v != 0:
			return a.eval(s)
		}
		return b.eval(s)
	}}
}

func truthOrNaN(x, y float64, holds bool) float64 {
	switch {
	case math.IsNaN(x) || math.IsNaN(y):
		return math.NaN()
	case holds:
		return 1
	}
	return 0
}

func TestProgramsAgreeWithDirectEvaluation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 4)
		slots := rapid.SliceOfN(rapid.Float64Range(-100, 100), len(names), len(names)).Draw(t, "slots")
		p, err := Compile(e.src, slotOf)
		if err != nil {
			t.Fatalf("%s: %v", e.src, err)
		}
		want, got := e.eval(slots), p.Run(slots)
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("%s = %v, want %v", e.src, got, want)
		}
	})
}

// FuzzCompile: whatever compiles also runs, and whatever does not is an *Error.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{"x", "1+2*3", "x>y?min(x,1):pow(y,-2)", "((((", "0x", "1e+", "a(b(c", "-", "?:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Compile(src, slotOf)
		var e *Error
		switch {
		case err == nil:
			p.Run([]float64{1, 2, 3})
		case !errors.As(err, &e) || e.Column < 1 || e.Column > len(src)+1:
			t.Fatalf("not a placed error: %v", err)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p, err := Compile("(x/16384 - y/1024)*z_1 + x*x*y", slotOf)
	if err != nil {
		b.Fatal(err)
	}
	slots := []float64{519888, 27504, 26435}
	b.ReportAllocs()
	for b.Loop() {
		p.Run(slots)
	}
}
