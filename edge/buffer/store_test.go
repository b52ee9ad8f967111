package buffer_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		fmt.Fprintln(os.Stderr, runVictim(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// directory is a Badger store's medium. A crash is a copy of the files while
// the store is open: what a process that stops at once leaves behind.
type directory struct {
	t    *testing.T
	dir  string
	open buffer.Store
}

func (d *directory) Open() (buffer.Store, error) {
	s, err := buffer.OpenBadger(d.dir, quiet)
	if err == nil {
		d.open = s
	}
	return s, err
}

func (d *directory) Crash() {
	image := filepath.Join(d.t.TempDir(), "image")
	if err := os.CopyFS(image, os.DirFS(d.dir)); err != nil {
		d.t.Fatal(err)
	}
	if err := d.open.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.dir = image
}

type disk struct{ *buffertest.Disk }

func (d disk) Open() (buffer.Store, error) { return d.Disk.Open() }

// I1: both stores keep the same promises.
func TestTheDoubleKeepsTheContract(t *testing.T) {
	buffertest.Contract(t, func(*testing.T) buffertest.Medium { return disk{buffertest.NewDisk(1)} })
}

func TestBadgerKeepsTheContract(t *testing.T) {
	buffertest.Contract(t, func(t *testing.T) buffertest.Medium { return &directory{t: t, dir: t.TempDir()} })
}

// I6.
func TestADirectoryThatCannotBeUsedIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := buffer.OpenBadger(filepath.Join(file, "buffer"), quiet)
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "not a directory") {
		t.Fatalf("OpenBadger below a file = %v", err)
	}
	dir := t.TempDir()
	s, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = buffer.OpenBadger(dir, quiet)
	if !errors.Is(err, buffer.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("a second OpenBadger = %v", err)
	}
}
