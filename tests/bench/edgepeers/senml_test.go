package main

import (
	"math"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
)

// record is a SenML record as a reader of RFC 8428 sees it.
type record struct {
	BaseName string          `cbor:"-2,keyasint"`
	BaseTime cbor.RawMessage `cbor:"-3,keyasint"`
	Value    cbor.RawMessage `cbor:"2,keyasint"`
	Boolean  *bool           `cbor:"4,keyasint"`
	Time     cbor.RawMessage `cbor:"6,keyasint"`
}

// number reads an integer or a decimal fraction.
func number(t *testing.T, raw cbor.RawMessage) *big.Rat {
	t.Helper()
	var tag cbor.RawTag
	var parts [2]int64
	if err := cbor.Unmarshal(raw, &tag); err != nil {
		if err := cbor.Unmarshal(raw, &parts[1]); err != nil {
			t.Fatalf("%x: %v", raw, err)
		}
	} else if err := cbor.Unmarshal(tag.Content, &parts); err != nil || tag.Number != 4 {
		t.Fatalf("%x: tag %d, %v", raw, tag.Number, err)
	}
	r := new(big.Rat).SetInt64(parts[1])
	for range -parts[0] {
		r.Quo(r, big.NewRat(10, 1))
	}
	return r
}

// A peer that carried less than the workload would look better than it is.
func TestAPackOfSenMLHasEveryReading(t *testing.T) {
	s := series{all: workload.Gateway(4), lap: 2}
	const from, to = 1, 4
	var records []record
	if err := cbor.Unmarshal(s.appendSenML(nil, from, to), &records); err != nil {
		t.Fatal(err)
	}
	if want := workload.Devices * workload.Points * (to - from); len(records) != want {
		t.Fatalf("%d records, want %d", len(records), want)
	}
	body := workload.Body()
	for d := range s.all {
		for p, c := range body.Columns {
			first := records[0]
			if want := workload.Device("bench", d).String() + ":" + string(c.Point); first.BaseName != want {
				t.Fatalf("base name %q, want %q", first.BaseName, want)
			}
			for i := from; i < to; i++ {
				r := records[0]
				records = records[1:]
				at := new(big.Rat).Add(number(t, first.BaseTime), number(t, r.Time))
				if want := big.NewRat(start.UnixMilli()+s.tick(d, i), 1000); at.Cmp(want) != 0 {
					t.Fatalf("%s, row %d: time %v, want %v", first.BaseName, i, at, want)
				}
				v := s.all[d].Rows.V[p][i]
				if c.Kind == wire.KindBoolean {
					if r.Boolean == nil || *r.Boolean != (v != 0) {
						t.Fatalf("%s, row %d: %v, want %d", first.BaseName, i, r.Boolean, v)
					}
					continue
				}
				got, _ := number(t, r.Value).Float64()
				if want := float64(v*int64(c.Mantissa)) * math.Pow10(c.Exponent); math.Abs(got-want) > 1e-9*math.Abs(want) {
					t.Fatalf("%s, row %d: %v, want %v", first.BaseName, i, got, want)
				}
			}
		}
	}
}
