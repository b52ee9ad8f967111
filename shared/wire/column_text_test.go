package wire_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/shared/wire"
)

var textShape = wire.ShapeOf([]wire.Column{{Kind: wire.KindText}})

// What is cut out of longer rows has strings that it does not use, and others
// before those that it uses first.
func TestAPartOfRowsKeepsItsTexts(t *testing.T) {
	var r wire.Rows
	said := []string{"idle", "run", "run", "stuck", "idle", "run"}
	for i, s := range said {
		v, ok := r.Text(0, s)
		if !ok {
			t.Fatal("the dictionary is full")
		}
		r.Append(int64(i), 0, []int64{v})
	}
	part := wire.Rows{T: r.T[2:], Q: r.Q[2:], V: [][]int64{r.V[0][2:]}, Texts: r.Texts}
	var back wire.Rows
	if err := wire.ParseColumns(wire.AppendColumns(nil, &part, 1), 4, textShape, 1, 2, &back); err != nil {
		t.Fatal(err)
	}
	if want := []string{"run", "stuck", "idle"}; !slices.Equal(back.Texts[0], want) {
		t.Errorf("the strings are %q, want %q", back.Texts[0], want)
	}
	for i, v := range back.V[0] {
		if got := back.Texts[0][v]; got != said[2+i] {
			t.Errorf("row %d says %q, want %q", i, got, said[2+i])
		}
	}
}

func TestADictionaryThatIsFullSaysSoAndStillKnowsItsStrings(t *testing.T) {
	var r wire.Rows
	for i := range wire.MaxTexts {
		if v, ok := r.Text(0, fmt.Sprint(i)); !ok || v != int64(i) {
			t.Fatalf("string %d is %d, %v", i, v, ok)
		}
	}
	if _, ok := r.Text(0, "one more"); ok {
		t.Error("a string beyond MaxTexts was taken")
	}
	if v, ok := r.Text(0, "7"); !ok || v != 7 {
		t.Errorf("a string that is there is %d, %v", v, ok)
	}
	r.Reset()
	if v, ok := r.Text(0, "one more"); !ok || v != 0 {
		t.Errorf("after Reset the first string is %d, %v", v, ok)
	}
}

// Rows that were read into before, with texts, hold none of them for a series
// without.
func TestRowsForgetTextsThatTheNextSeriesDoesNotHave(t *testing.T) {
	var rows wire.Rows
	data := unhex(t, "00 00 e0 01 016f 00")
	if err := wire.ParseColumns(data, 2, textShape, 0, 0, &rows); err != nil || rows.Texts[0][0] != "o" {
		t.Fatalf("%q, %v", rows.Texts, err)
	}
	if err := wire.ParseColumns(unhex(t, "00 00 00"), 2, wire.Numbers(1), 0, 0, &rows); err != nil || len(rows.Texts) != 0 {
		t.Fatalf("%q, %v", rows.Texts, err)
	}
}

// I6: each way to write a text column wrongly is named.
func TestAHostileTextColumnIsRefusedWithItsPlace(t *testing.T) {
	many := "00 00 e0 8008" // MaxTexts strings
	for i := range wire.MaxTexts {
		many += fmt.Sprintf("02%04x", 0x6161+i%26+i/26<<8)
	}
	for _, c := range []struct{ name, data, want string }{
		{"numbers where texts are", "00 00 00", "begin with 0xe0"},
		{"a parameter", "00 00 e1 01 00 00", "begin with 0xe0"},
		{"no strings", "00 00 e0 00 00", "has no strings"},
		{"strings beyond the limit", "00 00 e0 8108 00", "1025 strings, at most 1024"},
		{"2^40 strings", "00 00 e0 808080808020 00", "at most 1024"},
		{"a string beyond the limit", "00 00 e0 01 8108 00", "1025 bytes, at most 1024"},
		{"a string cut", "00 00 e0 01 05 61", "5 bytes, 1 are left"},
		{"no UTF-8", "00 00 e0 01 01 ff 00", "UTF-8"},
		{"a string twice", "00 00 e0 02 0161 0161 600060", `"a" twice`},
		{"a string twice among many", strings.Replace(many, "026162", "026161", 1), `"aa" twice`},
		{"an index beyond the strings", "00 00 e0 01 0161 600060", "names string 1 at row 1, want 0 to 0"},
		{"a negative index", "00 00 e0 01 0161 0101", "names string -1 at row 0"},
		{"another order than of first use", "00 00 e0 02 0161 0162 0102", "names string 1 at row 0"},
		{"a string that nothing names", "00 00 e0 02 0161 0162 00", "names 1 of 2 strings"},
		{"texts of texts", "00 00 e0 01 0161 e0 01 0161 00", "codec byte 0xe0"},
	} {
		var rows wire.Rows
		err := wire.ParseColumns(unhex(t, c.data), 3, textShape, 0, 0, &rows)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want an error with %q, got %v", c.name, c.want, err)
		}
	}
}

func TestAFloatThatIsNoNumberIsRefused(t *testing.T) {
	shape := wire.ShapeOf([]wire.Column{{Kind: wire.KindFloat}})
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		r := wire.Rows{T: make([]int64, 2), Q: make([]uint64, 2), V: [][]int64{{bits(1), bits(x)}}}
		err := wire.ParseColumns(wire.AppendColumns(nil, &r, 0), 2, shape, 0, 0, &r)
		if err == nil || !strings.Contains(err.Error(), "at row 1") {
			t.Errorf("%v: want an error about row 1, got %v", x, err)
		}
	}
	r := wire.Rows{T: make([]int64, 3), Q: make([]uint64, 3), V: [][]int64{{bits(math.MaxFloat64), bits(-math.MaxFloat64), bits(5e-324)}}}
	if err := wire.ParseColumns(wire.AppendColumns(nil, &r, 0), 3, shape, 0, 0, &r); err != nil {
		t.Error(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
