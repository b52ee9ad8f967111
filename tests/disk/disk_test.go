package disk

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func dice() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }

// A byte is changed and no other, in a place that holds something if any does.
func TestFlipChangesOneByte(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	before := make([]byte, 1000)
	before[123] = 7
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
	all := func(string) bool { return true }
	said, err := Flip(dir, dice(), all)
	if err != nil || !strings.HasPrefix(said, "byte 123 of a from 0x07 to 0x") {
		t.Fatalf("%q, %v", said, err)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if after[123] == 7 {
		t.Error("nothing was changed")
	}
	after[123] = 7
	if !bytes.Equal(before, after) {
		t.Error("more than one byte was changed")
	}
	if _, err := Flip(t.TempDir(), dice(), all); err == nil {
		t.Error("an empty folder holds a byte")
	}
}

// A disk that loses its power has what was synced and not what was not.
func TestAPowerCutLosesWhatWasNotSynced(t *testing.T) {
	if why := Loops(); why != nil {
		t.Skip(why)
	}
	dir := t.TempDir()
	d, err := New(filepath.Join(dir, "image"), filepath.Join(dir, "disk"), 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Unmount(); err != nil {
			t.Error(err)
		}
	}()
	write := func(name string, sync bool) {
		f, err := os.Create(filepath.Join(d.Folder, name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString("here")
		if sync {
			err = errors.Join(err, f.Sync())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("synced", true)
	write("in-memory", false)
	if err := d.Cut(filepath.Join(dir, "copied.img"), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(d.Folder, "synced")); err != nil || string(b) != "here" {
		t.Errorf("what was synced: %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(d.Folder, "in-memory")); err == nil && len(b) > 0 {
		t.Errorf("what was not synced: %q", b)
	}
	if err := d.Fill(1 << 20); err != nil {
		t.Fatal(err)
	}
	full, err := d.Free()
	if err != nil || full > 1<<20 {
		t.Errorf("%d bytes are free, %v", full, err)
	}
	if err := d.Release(); err != nil {
		t.Fatal(err)
	}
	if free, err := d.Free(); err != nil || free <= full {
		t.Errorf("%d bytes are free, %v", free, err)
	}
}
