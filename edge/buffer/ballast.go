package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ballast is space that the store gives up when others have filled the file
// system: Badger writes while it starts, and a full file system is then a
// SIGBUS, which cannot be caught. It is deleted for such a start and laid again
// once there is room.
type ballast struct {
	file string
	free func() (int64, error) // bytes that the file system has left
}

const (
	ballastFile = "ballast"
	ballastSize = minFree
	// ballastRoom is what must be free beside it to lay it: above the default
	// reserve, so that no reading is dropped for it.
	ballastRoom = 64 << 20
)

// drop deletes the ballast if less than minFree is free, and returns what is
// free then.
func (b *ballast) drop() (free int64, dropped bool, err error) {
	if free, err = b.free(); err != nil || free >= minFree {
		return free, false, err
	}
	err = os.Remove(b.file)
	if errors.Is(err, fs.ErrNotExist) {
		return free, false, nil
	}
	if err != nil {
		return free, false, fmt.Errorf("ballast: %w", err)
	}
	free, err = b.free()
	return free, true, err
}

// lay allocates the ballast if it is missing and there is room. The blocks are
// taken and not written, so that it wears nothing; a file system that cannot do
// that has no ballast, which is the error.
func (b *ballast) lay() error {
	if _, err := os.Stat(b.file); err == nil {
		return nil
	}
	if free, err := b.free(); err != nil || free < ballastRoom+ballastSize {
		return err
	}
	f, err := os.OpenFile(b.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("ballast: %w", err)
	}
	if err := errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, ballastSize), f.Close()); err != nil {
		return fmt.Errorf("ballast: %w", errors.Join(err, os.Remove(b.file)))
	}
	return nil
}
