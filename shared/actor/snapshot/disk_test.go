package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"pgregory.net/rapid"
)

var errIO = errors.New("input/output error")

// lossy is a disk in memory that fails when it is told to, and forgets at a
// loss of power what a kernel may forget: of each folder the newest changes
// since it was synced, of a file that Write did not finish any part.
type lossy struct {
	t       *rapid.T
	folders map[string]*lossyFolder

	calls int // changing calls until one fails; it and fails-1 more do
	fails int // 0: none will
}

type lossyFolder struct {
	lasting    bool // the folder above was synced since this one was made
	live, sure map[string][]byte
	pending    []change // since it was synced
}

// change is a file's new content; nil: there is none. A rename in a folder is
// one change, one between folders is two.
type change struct {
	name string
	data []byte
	from string
}

func newLossy() *lossy {
	return &lossy{folders: map[string]*lossyFolder{".": {lasting: true}}}
}

// lasts reports whether a loss of power leaves a folder and those above it.
func (l *lossy) lasts(path string) bool {
	return l.folders[path].lasting && (path == "." || l.lasts(filepath.Dir(path)))
}

// powerLoss is what is there when the power is back.
func (l *lossy) powerLoss() {
	l.fails = 0
	gone := []string{}
	for path := range l.folders {
		if !l.lasts(path) {
			gone = append(gone, path)
		}
	}
	for _, path := range gone {
		delete(l.folders, path)
	}
	for _, path := range slices.Sorted(maps.Keys(l.folders)) {
		f := l.folders[path]
		if len(f.pending) == 0 {
			continue
		}
		kept := rapid.IntRange(0, len(f.pending)).Draw(l.t, "changes kept in "+path)
		for _, c := range f.pending[:kept] {
			set(f.sure, c)
		}
		f.pending, f.live = nil, maps.Clone(f.sure)
	}
}

// fault reports whether the call in hand fails.
func (l *lossy) fault() bool {
	if l.fails == 0 {
		return false
	}
	if l.calls > 0 {
		l.calls--
		return false
	}
	l.fails--
	return true
}

func set(files map[string][]byte, c change) {
	delete(files, c.from)
	if c.data == nil {
		delete(files, c.name)
		return
	}
	files[c.name] = c.data
}

func (l *lossy) at(path string) (*lossyFolder, string) {
	f := l.folders[filepath.Dir(path)]
	if f == nil {
		panic(fmt.Sprintf("nobody made the folder of %s", path))
	}
	return f, filepath.Base(path)
}

func (l *lossy) change(path string, data []byte, from string) {
	f, name := l.at(path)
	c := change{name, data, from}
	set(f.live, c)
	f.pending = append(f.pending, c)
}

func (l *lossy) MakeFolder(path string) error {
	if l.fault() {
		return errIO
	}
	if l.folders[filepath.Dir(path)] == nil {
		return fs.ErrNotExist
	}
	if l.folders[path] == nil {
		l.folders[path] = &lossyFolder{live: map[string][]byte{}, sure: map[string][]byte{}}
	}
	return nil
}

func (l *lossy) Files(folder string) (map[string]int64, error) {
	files := map[string]int64{}
	for name, data := range l.folders[folder].live {
		files[name] = int64(len(data))
	}
	return files, nil
}

func (l *lossy) Write(path string, data []byte) error {
	if l.fault() {
		part := rapid.IntRange(0, len(data)).Draw(l.t, "bytes written")
		l.change(path, append([]byte{}, data[:part]...), "")
		return errIO
	}
	l.change(path, bytes.Clone(data), "")
	return nil
}

func (l *lossy) Read(path string) ([]byte, error) {
	f, name := l.at(path)
	data, ok := f.live[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(data), nil
}

func (l *lossy) Size(path string) (int64, error) {
	data, err := l.Read(path)
	return int64(len(data)), err
}

func (l *lossy) Rename(from, to string) error {
	data, err := l.Read(from)
	if err != nil || l.fault() {
		return errors.Join(err, errIO)
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		l.change(to, data, filepath.Base(from))
		return nil
	}
	l.change(from, nil, "")
	l.change(to, data, "")
	return nil
}

func (l *lossy) Remove(path string) error {
	if l.fault() {
		return errIO
	}
	if _, err := l.Size(path); err == nil {
		l.change(path, nil, "")
	}
	return nil
}

func (l *lossy) SyncFolder(path string) error {
	if l.fault() {
		return errIO
	}
	if f := l.folders[path]; f != nil {
		f.sure, f.pending = maps.Clone(f.live), nil
	}
	for inner, f := range l.folders {
		if filepath.Dir(inner) == path {
			f.lasting = true
		}
	}
	return nil
}
