package initramfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// entry is one of an archive, read by cpio(5)'s description of newc.
type entry struct {
	name         string
	mode         uint64
	major, minor uint64
	data         string
}

func parse(t *testing.T, b []byte) []entry {
	t.Helper()
	var out []entry
	at := 0
	for {
		if string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d", at)
		}
		field := func(i int) uint64 {
			n, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		size, nameSize := int(field(6)), int(field(11))
		name := at + 110
		data := (name + nameSize + 3) &^ 3
		e := entry{string(b[name : name+nameSize-1]), field(1), field(9), field(10), string(b[data : data+size])}
		if b[name+nameSize-1] != 0 {
			t.Fatalf("%s has no NUL", e.name)
		}
		at = (data + size + 3) &^ 3
		if e.name == "TRAILER!!!" {
			if at != len(b) {
				t.Errorf("%d bytes after the end", len(b)-at)
			}
			return out
		}
		out = append(out, e)
	}
}

func TestAnArchiveHasEachFolderOnceAndBeforeWhatIsInIt(t *testing.T) {
	var b bytes.Buffer
	a := NewArchive(&b)
	a.Device("dev/console", 5, 1)
	a.Program("init", []byte("12345"))
	a.File("etc/atrium/edge.yaml", []byte("x: 1\n"))
	a.File("etc/atrium/empty", nil)
	a.Folder("var/lib")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{"dev", 0o040755, 0, 0, ""},
		{"dev/console", 0o020600, 5, 1, ""},
		{"init", 0o100755, 0, 0, "12345"},
		{"etc", 0o040755, 0, 0, ""},
		{"etc/atrium", 0o040755, 0, 0, ""},
		{"etc/atrium/edge.yaml", 0o100644, 0, 0, "x: 1\n"},
		{"etc/atrium/empty", 0o100644, 0, 0, ""},
		{"var", 0o040755, 0, 0, ""},
		{"var/lib", 0o040755, 0, 0, ""},
	}
	if got := parse(t, b.Bytes()); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// full takes n bytes.
type full struct{ n int }

var errFull = errors.New("full")

func (f *full) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestAWriteThatFailsIsReportedAtTheEnd(t *testing.T) {
	a := NewArchive(&full{n: 200})
	a.File("a", make([]byte, 100))
	a.File("b", nil)
	if err := a.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close = %v", err)
	}
}

func TestAModuleComesAfterAllThatItNeeds(t *testing.T) {
	needs := map[string][]string{"cdc_ether": {"usbnet"}, "usbnet": {"mii", "usb"}, "dwc2": {"usb", "roles"}, "usb": {"roles"}}
	got, err := order([]string{"cdc-ether", "dwc2"}, func(n string) ([]string, error) { return needs[n], nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"mii", "roles", "usb", "usbnet", "cdc_ether", "dwc2"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestModulesThatNeedEachOtherAreAnError(t *testing.T) {
	_, err := order([]string{"a"}, func(n string) ([]string, error) { return []string{map[string]string{"a": "b", "b": "a"}[n]}, nil })
	if err == nil || !strings.Contains(err.Error(), "a needs itself") {
		t.Errorf("order = %v", err)
	}
}

func TestAModuleIsInTheKernelOrAnError(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"modules.builtin": "kernel/drivers/i2c/i2c-dev.ko\n", "broken.ko": "no ELF"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Modules(dir, "i2c-dev"); err != nil || len(got) != 0 {
		t.Errorf("a module that is built in: %v, %v", got, err)
	}
	for _, name := range []string{"absent", "broken"} {
		if _, err := Modules(dir, name); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("module %s", name)) {
			t.Errorf("Modules(%s) = %v", name, err)
		}
	}
}
