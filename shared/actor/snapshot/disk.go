package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// disk is the border to the kernel: what Dir asks of a file system. A file is
// made, renamed or removed for good only after SyncFolder; until then a loss
// of power may undo the newest changes of the folder, as ext4, XFS and btrfs
// keep their order.
type disk interface {
	// MakeFolder makes a folder, or finds it made. fs.ErrNotExist: the one above
	// is not there.
	MakeFolder(path string) error
	// Files returns the names and sizes of a folder's files.
	Files(folder string) (map[string]int64, error)
	// Write makes or replaces a file and returns once its content is on the
	// medium. After an error the file may be there, with any content.
	Write(path string, data []byte) error
	// Read returns a file's content. fs.ErrNotExist; maxFile bounds it.
	Read(path string) ([]byte, error)
	// Size returns a file's size. fs.ErrNotExist.
	Size(path string) (int64, error)
	// Rename replaces to by from in one step.
	Rename(from, to string) error
	// Remove removes a file, or finds it gone.
	Remove(path string) error
	SyncFolder(path string) error
}

// kernel is the disk of the operating system. State may be private: nobody
// but the owner reads it.
type kernel struct{}

func (kernel) MakeFolder(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (kernel) Files(folder string) (map[string]int64, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := make(map[string]int64, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files[e.Name()] = info.Size()
		}
	}
	return files, nil
}

func (kernel) Write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (kernel) Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(info.Size(), maxFile+1))
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it was cut meanwhile: the parser says so
	}
	return b[:n], err
}

func (kernel) Size(path string) (int64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (kernel) Rename(from, to string) error { return os.Rename(from, to) }

func (kernel) Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (kernel) SyncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
