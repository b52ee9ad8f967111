package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/atrium-iot/atrium/shared/durable"
)

func TestAFileIsReplacedWholeAndNothingIsLeftBesideIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "limit")
	// A write that a power cut ended: longer than what comes.
	if err := os.WriteFile(name+".new", []byte("torn and long"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "2nd"} {
		if err := durable.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != text {
			t.Errorf("the file holds %q, %v, want %q", got, err, text)
		}
	}
	files, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v beside each other, want the file alone", files, err)
	}
}

func TestAFileThatCannotBeReplacedStaysAsItWas(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder") // in the place of the file
	if err := os.MkdirAll(filepath.Join(folder, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(folder, []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if _, err := os.Stat(filepath.Join(folder, "full")); err != nil {
		t.Error(err)
	}
	if err := durable.WriteFile(filepath.Join(folder, "none", "x"), []byte("x"), 0o600); err == nil {
		t.Error("a file in a folder that is not there was written")
	}
}
