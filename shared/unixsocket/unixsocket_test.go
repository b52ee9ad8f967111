package unixsocket_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/shared/unixsocket"
)

func TestASocketIsServedWhateverTheLengthOfItsPath(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "s"), filepath.Join(deep, "board.sock")} {
		l, err := unixsocket.Listen(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		said := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, err = io.WriteString(c, "here")
				err = errors.Join(err, c.Close())
			}
			said <- err
		}()
		c, err := unixsocket.Dial(t.Context(), &net.Dialer{}, path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); string(b) != "here" || err != nil {
			t.Errorf("%s says %q, %v", path, b, err)
		}
		if err := errors.Join(<-said, c.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a closed listener leaves its file: %v", err)
		}
		if _, err := unixsocket.Dial(t.Context(), &net.Dialer{}, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a dial to nobody: %v", err)
		}
	}
}

func TestWhatNoPathReachesIsNamed(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, strings.Repeat("x", 150)):         "its name has 150 bytes",
		filepath.Join(dir, strings.Repeat("none/", 30), "s"): "no such file or directory",
	} {
		if _, err := unixsocket.Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen: %v, want %q", err, want)
		}
		if _, err := unixsocket.Dial(t.Context(), &net.Dialer{}, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("dial: %v, want %q", err, want)
		}
	}
}
