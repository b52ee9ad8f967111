package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestABodyComesBackAsItWentAndIsRefusedCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawBody(t)
		b := want.Append(nil)
		got, err := wire.ParseBody(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		for n := range b {
			if _, err := wire.ParseBody(b[:n:n]); err == nil {
				t.Fatalf("a body cut at %d of %d was accepted", n, len(b))
			}
		}
		if _, err := wire.ParseBody(append(bytes.Clone(b), 0)); err == nil {
			t.Fatal("a byte after the body was accepted")
		}
	})
}

func TestABodyWithAWrongColumnNamesTheField(t *testing.T) {
	good := wire.Column{Point: "temperature", Unit: "Cel", Mantissa: 625, Exponent: -4}
	for _, c := range []struct {
		want   string
		change func(*wire.Body)
	}{
		{"point", func(b *wire.Body) { b.Columns[0].Point = "Temperature" }},
		{"occurs twice", func(b *wire.Body) { b.Columns = append(b.Columns, good) }},
		{"unit", func(b *wire.Body) { b.Columns[0].Unit = strings.Repeat("m", wire.MaxUnit+1) }},
		{"kind", func(b *wire.Body) { b.Columns[0].Kind = 5 }},
		{"for a float", func(b *wire.Body) { b.Columns[0].Kind = wire.KindFloat }},
		{"for a text", func(b *wire.Body) { b.Columns[0].Kind, b.Columns[0].Mantissa = wire.KindText, 1 }},
		{"mantissa", func(b *wire.Body) { b.Columns[0].Mantissa = 0 }},
		{"exponent", func(b *wire.Body) { b.Columns[0].Exponent = -wire.MaxExponent - 1 }},
		{"tick", func(b *wire.Body) { b.Tick = 0 }},
		{"columns", func(b *wire.Body) { b.Columns = nil }},
		{"columns", func(b *wire.Body) { b.Columns = make([]wire.Column, wire.MaxColumns+1) }},
	} {
		b := wire.Body{Profile: "ti.tmp102", Version: 1, Tick: 1_000_000, Columns: []wire.Column{good}}
		c.change(&b)
		if _, err := wire.ParseBody(b.Append(nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want an error with %q, got %v", c.want, err)
		}
	}
}

func TestASchemaWhoseHashIsNotItsBodysIsRefused(t *testing.T) {
	body := wire.Body{Profile: "p", Tick: 1, Columns: []wire.Column{{Point: "x", Mantissa: 1}}}
	m := wire.Schema{SID: 1, Device: id.Device{Site: "hq", Name: "t1"}, Body: body.Append(nil)}
	m.Hash = wire.HashBody(m.Body)
	if _, err := wire.ParseSchema(m.Append(nil)); err != nil {
		t.Fatal(err)
	}
	m.Hash[15] ^= 1
	if _, err := wire.ParseSchema(m.Append(nil)); err == nil || !strings.Contains(err.Error(), "hash") {
		t.Fatalf("want an error about the hash, got %v", err)
	}
}

func TestAColumnsValuesAreTheNearestFloats(t *testing.T) {
	for _, c := range []struct {
		column wire.Column
		v      int64
		want   float64
	}{
		{wire.Column{Mantissa: 625, Exponent: -4}, 343, 21.4375},
		{wire.Column{Mantissa: 1, Exponent: -2}, 101325, 1013.25},
		{wire.Column{Mantissa: 1, Exponent: -2}, -7, -0.07},
		{wire.Column{Mantissa: 1}, 1 << 40, 1 << 40},
		{wire.Column{Mantissa: 5, Exponent: 3}, 3, 15000},
		{wire.Column{Kind: wire.KindFloat, Mantissa: 1}, bits(-0.1), -0.1},
	} {
		if got := c.column.Float(c.v); got != c.want {
			t.Errorf("%d * %d * 10^%d = %v, want %v", c.v, c.column.Mantissa, c.column.Exponent, got, c.want)
		}
	}
}

func TestQualityIsTwoBitsAColumn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.IntRange(0, 3), wire.MaxColumns, wire.MaxColumns).Draw(t, "qualities")
		q := rapid.Uint64Max(1<<62-1).Draw(t, "before")
		for i, v := range want {
			q = wire.WithQuality(q, i, wire.Quality(v))
		}
		for i, v := range want {
			if got := wire.QualityOf(q, i); got != wire.Quality(v) {
				t.Fatalf("column %d: %v, want %d", i, got, v)
			}
		}
		if int64(q) < 0 {
			t.Fatalf("quality %x is not positive", q)
		}
	})
}
