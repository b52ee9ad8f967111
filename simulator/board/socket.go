package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/shared/unixsocket"
)

// answerTimeout is how long a program on the socket may take to accept.
const answerTimeout = time.Second

// listen binds the unix socket at path. The lock beside it (path.lock) decides
// between two boards; a socket file is removed only when it is a socket and
// nobody answers it: what a killed board leaves. release gives up the lock,
// after the listener is closed; the lock's file stays, because removing it
// would let two processes hold locks on two files of one name.
func listen(ctx context.Context, path string) (l net.Listener, release func() error, err error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			lock.Close() // the error that led here is the one to report
		}
	}()
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, nil, fmt.Errorf("socket %s: another board serves it", path)
	case err != nil:
		return nil, nil, fmt.Errorf("socket %s: lock: %w", path, err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, nil, err
	}
	if l, err = unixsocket.Listen(ctx, path); err != nil {
		return nil, nil, err
	}
	return l, lock.Close, nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("socket %s: a file of another kind is in its place", path)
	}
	conn, err := unixsocket.Dial(ctx, &net.Dialer{Timeout: answerTimeout}, path)
	switch {
	case err == nil:
		conn.Close() // it said nothing and was told nothing
		return fmt.Errorf("socket %s: another program serves it", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("socket %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	return nil
}
