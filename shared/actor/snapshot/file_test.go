package snapshot

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestEveryChangedBitOfAFileIsNoticed(t *testing.T) {
	file := appendFile(nil, "hq/t1", []byte("state"))
	for i := range len(file) * 8 {
		bad := bytes.Clone(file)
		bad[i/8] ^= 1 << (i % 8)
		if data, err := parseFile(bad, "hq/t1"); err == nil {
			t.Errorf("bit %d of byte %d: %q", i%8, i/8, data)
		}
	}
}

func TestAFileThatWasCutOrGrewIsDamaged(t *testing.T) {
	file := appendFile(nil, "hq/t1", []byte("state"))
	for n := range file {
		if _, err := parseFile(file[:n], "hq/t1"); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes of %d: %v", n, len(file), err)
		}
	}
	if _, err := parseFile(append(file, 0), "hq/t1"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestAFileOfAnotherIDIsDamaged(t *testing.T) {
	_, err := parseFile(appendFile(nil, "hq/t2", nil), "hq/t1")
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), `"hq/t2"`) {
		t.Errorf("got %v", err)
	}
}

// What a newer program wrote is not to be put aside by an older one.
func TestAFileOfAnotherVersionIsRefusedAndNotDamaged(t *testing.T) {
	file := appendFile(nil, "hq/t1", nil)
	file[4] = version + 1
	if _, err := parseFile(file, "hq/t1"); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(appendFile(nil, "hq/t1", []byte("state")), "hq/t1")
	f.Add([]byte(magic), "")
	f.Fuzz(func(t *testing.T, file []byte, id string) {
		data, err := parseFile(file, id)
		if err == nil && !bytes.Equal(appendFile(nil, id, data), file) {
			t.Errorf("%x is the file of %q and %x, and is not what is written for them", file, id, data)
		}
	})
}

func FuzzNameOf(f *testing.F) {
	f.Add("hq/t1", "hq%2ft1")
	f.Add(strings.Repeat("/", 255), strings.Repeat("/", 254)+"~")
	f.Add("a", "A")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > MaxID || len(b) > MaxID {
			t.Skip()
		}
		_, one := nameOf(a)
		_, two := nameOf(b)
		if a != b && strings.EqualFold(one, two) {
			t.Errorf("%q and %q have one name, %q", a, b, one)
		}
		if len(one)+len(aside) > 255 || strings.ContainsAny(one, "/\x00") {
			t.Errorf("%q has the name %q", a, one)
		}
	})
}

func TestTheNamesOfSitesAndDevicesStayReadable(t *testing.T) {
	if _, name := nameOf("hq/t1"); name != "hq%2ft1" {
		t.Errorf("got %q", name)
	}
	longest := strings.Repeat("x", 63)
	if _, name := nameOf(longest + "/" + longest + "/" + longest); strings.Contains(name, "~") {
		t.Errorf("got %q", name)
	}
}
