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

// read returns the readings as JSON, and what is wrong.
func read(data []byte) (records, wrong []string) {
	r := reader{}
	for rest := data; len(rest) > 0; {
		found, behind, fault := r.next(rest)
		if fault != nil {
			wrong = append(wrong, fmt.Sprintf("message at byte %d: %v", len(data)-len(rest), fault))
		}
		for _, reading := range found {
			text, err := json.Marshal(reading)
			if err != nil {
				wrong = append(wrong, err.Error())
			}
			records = append(records, string(text))
		}
		rest = behind
	}
	return records, wrong
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

func agree(t *testing.T, data []byte) {
	t.Helper()
	records, wrong := read(data)
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
}

func TestWhatAGatewayStoredReadsAsTheProductReadsIt(t *testing.T) {
	data, err := os.ReadFile("testdata/board.cbor")
	if err != nil {
		t.Fatal(err)
	}
	agree(t, data)
}

func TestEachCodecByHandReadsAsTheProductReadsIt(t *testing.T) {
	data, _ := byHand(t)
	agree(t, data)
}

func TestVectorsHaveTheValuesThatTheTextGives(t *testing.T) {
	data, _ := byHand(t)
	records, _ := read(data)
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
		_, wrong := read(data)
		_, complaint := dump(t, data)
		data[at] ^= 0x10
		theirs := place.FindStringSubmatch(complaint)
		if len(wrong) == 0 || theirs == nil || !strings.HasPrefix(wrong[0], "message "+theirs[0]+":") {
			t.Errorf("byte %d: the reader says %v, the product %q", at, wrong, complaint)
		}
	}
}

func TestACutFileNamesTheMessageThatIsCut(t *testing.T) {
	data, frames := byHand(t)
	want := fmt.Sprintf("message at byte %d: ", frames)
	for _, end := range []int{frames + 1, frames + 3, frames + 100} {
		records, wrong := read(data[:end])
		if len(records) != 0 || len(wrong) != 1 || !strings.HasPrefix(wrong[0], want) {
			t.Errorf("cut at %d: %d readings, %q, want %q", end, len(records), wrong, want)
		}
	}
}

func TestAMessageBehindADamagedOneIsStillRead(t *testing.T) {
	data, _ := byHand(t)
	whole, _ := read(data)
	data[len(data)-1] ^= 1 // the packed frame's CRC
	records, wrong := read(append(data, data...))
	if len(wrong) != 2 || len(records) != len(whole) {
		t.Errorf("%d readings, want %d; %v", len(records), len(whole), wrong)
	}
}

func FuzzReader(f *testing.F) {
	data, frames := byHand(f)
	f.Add(data)
	f.Add(data[:frames])
	f.Fuzz(func(t *testing.T, data []byte) {
		records, _ := read(data)
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
		records, wrong := read(slices.Concat(cbor(t, clock), cbor(t, schema(t, run, 1, v)), cbor(t, frame)))
		if len(wrong) > 0 && len(records) > 0 {
			t.Errorf("%d readings of a frame that is wrong: %v", len(records), wrong)
		}
	})
}
