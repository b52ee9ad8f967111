package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// edge builds the product's program from the repository around this module, once.
var edge = sync.OnceValues(func() (program string, err error) {
	dir, err := os.MkdirTemp("", "reader")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir, "./edge/cmd/atrium-edge")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building atrium-edge: %w\n%s", err, out)
	}
	return filepath.Join(dir, "atrium-edge"), nil
})

func read(data []byte) ([]string, []error, map[string]int) {
	r := reader{map[key]definition{}, map[string]int{}}
	records, wrong := r.read(data)
	return records, wrong, r.count
}

// dump is what the product prints of the same bytes.
func dump(t *testing.T, data []byte) (senml []byte, wrong string) {
	t.Helper()
	program, err := edge()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lane.cbor")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	senml, err = exec.Command(program, "frame", "dump", file).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return senml, string(exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return senml, ""
}

// readings counts records by name, exact time, unit and value.
func readings(t *testing.T, senml []byte) map[string]int {
	t.Helper()
	var records []struct {
		N, U  string
		T     json.Number
		V     *float64
		VB    *bool
		VS    *string
		Clock string // more than RFC 8428 names; the reader leaves these out
	}
	if err := json.Unmarshal(senml, &records); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, r := range records {
		at, ok := new(big.Rat).SetString(r.T.String())
		if !ok {
			t.Fatalf("%s is no time", r.T)
		}
		value := "none"
		switch {
		case r.V != nil:
			value = fmt.Sprint("v ", *r.V)
		case r.VB != nil:
			value = fmt.Sprint("vb ", *r.VB)
		case r.VS != nil:
			value = "vs " + *r.VS
		}
		found[fmt.Sprintf("%s at %s: %s %q", r.N, at.FloatString(9), value, r.U)]++
	}
	return found
}

func agree(t *testing.T, data []byte) map[string]int {
	t.Helper()
	records, wrong, count := read(data)
	if len(wrong) > 0 {
		t.Fatalf("the reader says: %v", wrong)
	}
	theirs, complaint := dump(t, data)
	if complaint != "" {
		t.Fatalf("the product says: %s", complaint)
	}
	mine, want := readings(t, []byte("["+strings.Join(records, ",")+"]")), readings(t, theirs)
	if len(want) == 0 || !maps.Equal(mine, want) {
		for r, n := range want {
			if mine[r] != n {
				t.Errorf("the product has %d, the reader %d of %s", n, mine[r], r)
			}
		}
		t.Errorf("%d readings, the product has %d", len(mine), len(want))
	}
	return count
}

func TestWhatAGatewayStoredReadsAsTheProductReadsIt(t *testing.T) {
	data, err := os.ReadFile("testdata/board.cbor")
	if err != nil {
		t.Fatal(err)
	}
	count := agree(t, data)
	t.Log(count)
	for _, c := range codecs {
		if count[c] == 0 && c != "text" {
			t.Errorf("the capture has no column of codec %s", c)
		}
	}
	if count["messages of kind 1"] == 0 || count["messages of kind 3"] == 0 || count["readings without a value"] == 0 {
		t.Errorf("the capture lacks frames, packed frames or failed readings: %v", count)
	}
}

func TestEachCodecByHandReadsAsTheProductReadsIt(t *testing.T) {
	data, _ := byHand(t)
	count := agree(t, data)
	t.Log(count)
	for _, c := range codecs {
		if count[c] == 0 {
			t.Errorf("no vector has codec %s", c)
		}
	}
}

func TestVectorsHaveTheValuesThatTheTextGives(t *testing.T) {
	data, _ := byHand(t)
	records, _, _ := read(data)
	found := map[string][]any{}
	for _, text := range records[:len(records)/2] { // the other half is packed
		var r struct {
			N         string
			V, VB, VS any
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		for _, v := range []any{r.V, r.VB, r.VS} {
			if v != nil {
				found[r.N] = append(found[r.N], v)
			}
		}
	}
	for _, v := range vectors() {
		var want []any
		for _, x := range v.want {
			if x != nil {
				want = append(want, x)
			}
		}
		if got := found["hq/hand/"+v.name]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", v.name, got, want)
		}
	}
}

func TestADamagedByteIsNamedWhereTheProductNamesIt(t *testing.T) {
	data, frames := byHand(t)
	place := regexp.MustCompile(`at byte (\d+)`)
	for at := frames; at < len(data); at += 41 {
		data[at] ^= 0x10
		_, wrong, _ := read(data)
		_, complaint := dump(t, data)
		data[at] ^= 0x10
		theirs := place.FindStringSubmatch(complaint)
		if len(wrong) == 0 || theirs == nil || !strings.HasPrefix(wrong[0].Error(), "message "+theirs[0]+":") {
			t.Errorf("byte %d: the reader says %v, the product %q", at, wrong, complaint)
		}
	}
}

func TestAMessageBehindADamagedOneIsStillRead(t *testing.T) {
	data, _ := byHand(t)
	whole, _, _ := read(data)
	data[len(data)-1] ^= 1 // the packed frame's CRC
	records, wrong, _ := read(append(data, data...))
	if len(wrong) != 2 || len(records) != len(whole) {
		t.Errorf("%d readings, want %d; %v", len(records), len(whole), wrong)
	}
}

func FuzzReader(f *testing.F) {
	data, frames := byHand(f)
	f.Add(data)
	f.Add(data[:frames])
	f.Fuzz(func(t *testing.T, data []byte) {
		records, _, _ := read(data)
		if text := "[" + strings.Join(records, ",") + "]"; !json.Valid([]byte(text)) {
			t.Errorf("not JSON: %s", text)
		}
	})
}

// FuzzColumns puts any columns behind a right CRC, where FuzzReader rarely comes.
func FuzzColumns(f *testing.F) {
	for _, v := range vectors() {
		f.Add(bytesOf(f, v.times+v.quality+v.values), len(v.want), v.kind == 4)
	}
	run := make([]byte, 8)
	clock := cbor(f, list{1, 20, run, 1, make([]byte, 16), 0, 0, 1})
	f.Fuzz(func(t *testing.T, columns []byte, rows int, text bool) {
		v := vector{name: "x", mantissa: 1}
		if text {
			v.kind = 4
		}
		frame := sealed(t, 1, 1, run, 1, 1, 0, 0, []list{{1, max(rows, 0), 0, columns}})
		records, wrong, _ := read(slices.Concat(cbor(t, clock), cbor(t, schema(t, run, 1, v)), cbor(t, frame)))
		if len(wrong) > 0 && len(records) > 0 {
			t.Errorf("%d readings of a frame that is wrong: %v", len(records), wrong)
		}
	})
}
