// Package unixsocket listens on and dials Unix sockets whose path may have any
// length. The kernel takes 107 bytes of it (unix(7), sun_path), which a
// temporary folder in a temporary folder exceeds; a longer one is opened through
// its folder, as /proc/self/fd/N/NAME (proc(5)). It locks nothing and removes
// nothing that is in the way.
package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// maxPath is sun_path of Linux without its terminator (unix(7)).
const maxPath = 107

// Listen binds a socket; closing the listener removes its file.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	at, done, err := reach(path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer done()
	l, err := new(net.ListenConfig).Listen(ctx, "unix", at)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by then at is another file's
	return &listener{Listener: l, path: path}, nil
}

type listener struct {
	net.Listener
	path   string
	remove sync.Once
}

// Close implements net.Listener. The file goes first, and before any Close
// returns: what comes after it may be another listener's.
func (l *listener) Close() error {
	var err error
	l.remove.Do(func() {
		if err = os.Remove(l.path); errors.Is(err, fs.ErrNotExist) {
			err = nil // somebody has tidied up
		}
	})
	return errors.Join(err, l.Listener.Close())
}

// Dial connects to a socket.
func Dial(ctx context.Context, d *net.Dialer, path string) (net.Conn, error) {
	at, done, err := reach(path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer done()
	return d.DialContext(ctx, "unix", at)
}

// reach returns a path that the kernel takes until done is called.
func reach(path string) (at string, done func() error, err error) {
	if len(path) <= maxPath {
		return path, func() error { return nil }, nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	at = fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path))
	if len(at) > maxPath {
		return "", nil, errors.Join(fmt.Errorf("%s: its name has %d bytes, too many for a socket", path, len(filepath.Base(path))), folder.Close())
	}
	return at, folder.Close, nil
}
