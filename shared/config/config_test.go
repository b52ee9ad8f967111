package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
)

// colour shows a type that reads itself.
type colour string

func (c *colour) UnmarshalText(b []byte) error {
	if s := string(b); s != "red" && s != "0.50" {
		return fmt.Errorf("want red or 0.50, got %q", s)
	}
	*c = colour(b)
	return nil
}

type device struct {
	ID      string        `yaml:"id,required"`
	Address uint16        `yaml:"address" range:"0x03..0x77"`
	Every   time.Duration `yaml:"every" range:"10ms..24h"`
	Colour  colour        `yaml:"colour"`
	Hidden  string
}

type sample struct {
	Name    string             `yaml:"name"`
	Devices []device           `yaml:"devices"`
	Limit   Size               `yaml:"limit" range:"1MiB.."`
	Share   float64            `yaml:"share" range:"..1"`
	Count   int8               `yaml:"count"`
	Total   uint64             `yaml:"total"`
	Bytes   []byte             `yaml:"bytes"`
	On      bool               `yaml:"on"`
	First   *device            `yaml:"first"`
	Weights map[string]float64 `yaml:"weights"`
}

func TestEveryErrorNamesThePlaceTheKeyAndWhatIsWanted(t *testing.T) {
	datadriven.RunTest(t, "testdata/decode", func(t *testing.T, d *datadriven.TestData) string {
		s := sample{Name: "default", Total: 7}
		if err := decode("f.yaml", []byte(d.Input), &s); err != nil {
			var e *Error
			if !errors.As(err, &e) {
				d.Fatalf(t, "%T is not an *Error: %v", err, err)
			}
			return err.Error() + "\n"
		}
		if s.First != nil {
			return fmt.Sprintf("%+v first=%+v\n", withoutFirst(s), *s.First)
		}
		return fmt.Sprintf("%+v\n", s)
	})
}

func withoutFirst(s sample) sample { s.First = nil; return s }

func TestTheCallersOwnFaultsArePlacedByPath(t *testing.T) {
	d, err := Parse("e.yaml", []byte("site: hq\ndevices:\n  - id: a\n  - id: b\n    address: 0x48\n"))
	if err != nil {
		t.Fatal(err)
	}
	second := Index(Join("$", "devices"), 1)
	for path, want := range map[string]string{
		Join(second, "address"): `e.yaml:5:14: key "address": taken by a`,
		Join(second, "profile"): `e.yaml:4:5: key "profile": taken by a`,
		second:                  `e.yaml:4:5: key "devices[1]": taken by a`,
		"$":                     `e.yaml:1:1: taken by a`,
		"$.nothing.at[3].all":   `e.yaml:1:1: key "all": taken by a`,
	} {
		if got := d.Errorf(path, "taken by %s", "a").Error(); got != want {
			t.Errorf("Errorf(%s) = %s, want %s", path, got, want)
		}
	}
	if !d.Has("$.devices[0].id") || d.Has("$.devices[0].address") {
		t.Error("Has does not follow the document")
	}
}

func decode(file string, data []byte, into any) error {
	d, err := Parse(file, data)
	if err != nil {
		return err
	}
	return d.Decode(into)
}

func TestTheTreeKeepsNeitherOrderNorCommentsNorSpelling(t *testing.T) {
	a, err := Parse("a", []byte("# one\nn: 16.0\nlist: [1.5, \"x\", true, null, -3, 18446744073709551615]\nm: {a: 1, b: 2}\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse("b", []byte("m:\n  b: 2 # two\n  a: 1\nlist:\n  - 1.50\n  - x\n  - true\n  - ~\n  - -3\n  - 18446744073709551615\nn: 16\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"n": int64(16), "m": map[string]any{"a": int64(1), "b": int64(2)},
		"list": []any{1.5, "x", true, nil, int64(-3), uint64(18446744073709551615)},
	}
	if diff := cmp.Diff(want, a.Tree()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(a.Tree(), b.Tree()); diff != "" {
		t.Error(diff)
	}
}

// Editors of Windows begin a file with a byte order mark (YAML 1.2, 5.2) and
// end its lines with CR LF.
func TestAFileOfAWindowsEditorIsReadWithTheSamePlaces(t *testing.T) {
	d, err := Parse("f", []byte("\ufeffname: hq\r\ntotal: 3\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	var s sample
	if err := d.Decode(&s); err != nil || s.Name != "hq" || s.Total != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := decode("f", []byte("\ufeffnmae: hq\r\n"), &s); err == nil || !strings.HasPrefix(err.Error(), "f:1:1: key \"nmae\"") {
		t.Fatal(err)
	}
}

func TestOversizedAndBinaryInputIsRefusedBeforeItIsParsed(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"size":       {strings.Repeat("a: 1\n", MaxSize/4), "at most 262144"},
		"lines":      {strings.Repeat("-\n", maxLines+1), "f:8193:1: more than 8192 lines"},
		"line":       {"a: 1\nb: " + strings.Repeat("x", maxLine), "f:2:1025: line of"},
		"flow depth": {"a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested deeper than 32"},
		"depth":      {"a: \n  " + strings.Repeat("- ", 200) + "x\n", "nested deeper than 32"},
		"utf-8":      {"a: \xff\n", "f:1:4: want UTF-8"},
		"nul":        {"a: x\x00y\n", "f:1:5: control character"},
		"empty":      {"", "f: the document is empty"},
		"comment":    {"# nothing\n", "empty"},
		"list":       {"- a\n", "want keys and values, got a list"},
		"scalar":     {"a\n", `want keys and values, got "a"`},
	} {
		if _, err := Parse("f", []byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestASizeRoundTripsAndOverflowIsRefused(t *testing.T) {
	for in, want := range map[string]Size{"0": 0, "1": 1, "64KiB": 65536, "20MiB": 20 << 20, "3 GiB": 3 << 30} {
		s, err := parseSize(in)
		if err != nil || s != want {
			t.Errorf("parseSize(%q) = %d, %v", in, s, err)
		}
		if back, err := parseSize(s.String()); err != nil || back != s {
			t.Errorf("%q came back as %d, %v", s.String(), back, err)
		}
	}
	for _, in := range []string{"", "KiB", "-1", "+1", "1.5MiB", "1MB", "9007199254740992KiB", "9223372036854775808"} {
		if s, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", in, s)
		}
	}
}

// FuzzDecode: no input makes the package panic, and every fault is an *Error
// with the file's name.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: x\ndevices: [{id: a, address: 0x48, every: 1s}]\n"))
	f.Add([]byte("a: &x [1]\nb: *x\n<<: {c: d}\n"))
	f.Add([]byte("? a\n: b\n--- \n!!str x: |\n  y\n"))
	f.Add([]byte("a: {b: [}, \"c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var s sample
		err := decode("f.yaml", data, &s)
		if !bytes.Equal(before, data) {
			t.Fatal("the input was changed")
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.File != "f.yaml" || e.Text == "") {
			t.Fatalf("not a placed error: %#v", err)
		}
	})
}
