// Package durable replaces small files so that a power cut leaves the old one
// or the new one, whole. It is not for data that is appended to, nor for much
// of it: each write is three fsyncs' worth of waiting.
//
// The bytes go to NAME.new, are fsynced, renamed over NAME, and then the folder
// is fsynced, without which the rename itself could be lost (open(2), fsync(2)).
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// suffix is of the file that is written first. What a crash leaves of it is
// written over the next time.
const suffix = ".new"

// WriteFile makes a file hold data, durably before it returns. After an error
// the file is what it was, or holds data and may not survive a power cut.
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	next := name + suffix
	if err := writeSynced(next, data, perm); err != nil {
		return errors.Join(err, ignoreGone(os.Remove(next)))
	}
	if err := os.Rename(next, name); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

func writeSynced(name string, data []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// SyncDir makes a folder's entries durable: files made, renamed or removed in it.
func SyncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
