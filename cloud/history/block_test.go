package history

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func sample() Row {
	return Row{
		Run: id.Run{1, 2}, Seq: 77, SID: 3, Bind: 4, Boot: 5, UTC0: -6, Uncertainty: 7, Source: wire.ClockWelcome,
		Grid: 8, N: 9, First: -10, From: 11, To: 12, Received: 13, Data: []byte{14, 15},
	}
}

func TestABlockComesBackAsItWasWritten(t *testing.T) {
	want := sample()
	key := appendRowKey(nil, seriesID{}, &want)
	value := seal(appendBlock(nil, &want), 0, key)
	var got Row
	body, err := unseal(key, value)
	if err != nil {
		t.Fatal(err)
	}
	if err := parseRowKey(key, &got); err != nil {
		t.Fatal(err)
	}
	if err := parseBlock(body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for n := range value {
		if _, err := unseal(key, value[:n]); err == nil {
			t.Fatalf("a value cut at %d was accepted", n)
		}
	}
	key[20] ^= 1
	if _, err := unseal(key, value); err == nil {
		t.Fatal("a value under another key was accepted")
	}
}

func TestKeysSortByTimeBeforeAndAfterTheEpoch(t *testing.T) {
	r := sample()
	var last []byte
	for _, from := range []int64{-1 << 62, -1, 0, 1, 1 << 62} {
		r.From = from
		key := appendRowKey(nil, seriesID{}, &r)
		if bytes.Compare(last, key) >= 0 {
			t.Fatalf("the key of %d sorts before an earlier one", from)
		}
		last = key
	}
}

// FuzzBlock feeds the parser behind the CRC: it never panics, and what it
// accepts is within the bounds that a reader relies on.
func FuzzBlock(f *testing.F) {
	r := sample()
	f.Add(appendBlock(nil, &r), int64(11))
	f.Add([]byte{blockVersion}, int64(0))
	f.Add([]byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, from int64) {
		r := Row{From: from}
		if err := parseBlock(b, &r); err != nil {
			return
		}
		if r.N < 1 || r.N > wire.MaxRows || r.To < r.From || r.Source > wire.ClockWelcome {
			t.Fatalf("accepted %+v", r)
		}
		var again Row
		again.From = from
		if err := parseBlock(appendBlock(nil, &r), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
