package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
)

// How Dir names files. One of an ID that failed its checks is put aside.
const (
	whole      = ".snap"
	aside      = ".damaged"
	unfinished = "unfinished" // the folder of files that are being written
)

// block is what a file's size is rounded up to: file systems allot 4 KiB at
// least, and most snapshots are smaller.
const block = 4 << 10

// Dir keeps each snapshot in a file of its own, in 256 folders. Save and
// Delete return once a loss of power does not undo them: a Save waits for two
// fsyncs. Saves of several IDs at once share the disk's commits.
//
//	PATH/unfinished/7      being written; removed by OpenDir
//	PATH/3f/hq%2ft1.snap   the snapshot of "hq/t1"; its format is in file.go
//	PATH/3f/hq%2ft1.damaged
//
// One process at a time may have it open.
type Dir struct {
	path  string
	limit int64
	disk  disk

	mu     sync.Mutex // which file stands under a name
	used   int64
	writes uint64 // names unfinished files
}

// OpenDir opens the snapshots below path, or makes the folders. Their files
// may take limitBytes, each rounded up to 4 KiB, those put aside and those
// being written among them: a snapshot is replaced only where both fit. It
// looks at the size of every file, 5 us each.
func OpenDir(path string, limitBytes int64) (*Dir, error) {
	return openDir(path, limitBytes, kernel{})
}

func openDir(path string, limit int64, k disk) (*Dir, error) {
	d := &Dir{path: path, limit: limit, disk: k}
	if err := d.open(); err != nil {
		return nil, fmt.Errorf("snapshot: open: %w", err)
	}
	return d, nil
}

func (d *Dir) open() error {
	if err := d.makePath(d.path); err != nil {
		return err
	}
	if err := d.sweep(); err != nil {
		return err
	}
	for i := range 256 {
		folder := filepath.Join(d.path, fmt.Sprintf("%02x", i))
		if err := d.disk.MakeFolder(folder); err != nil {
			return err
		}
		files, err := d.disk.Files(folder)
		if err != nil {
			return err
		}
		for _, size := range files {
			d.used += allotted(size)
		}
	}
	return d.disk.SyncFolder(d.path)
}

// makePath makes a folder for good, and those above it that are not there.
func (d *Dir) makePath(path string) error {
	above := filepath.Dir(path)
	err := d.disk.MakeFolder(path)
	if errors.Is(err, fs.ErrNotExist) && above != path {
		if err = d.makePath(above); err == nil {
			err = d.disk.MakeFolder(path)
		}
	}
	if err != nil {
		return err
	}
	// Who may not read the folder above did not make this one.
	if err := d.disk.SyncFolder(above); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// sweep removes what a crash left unfinished.
func (d *Dir) sweep() error {
	folder := filepath.Join(d.path, unfinished)
	if err := d.disk.MakeFolder(folder); err != nil {
		return err
	}
	files, err := d.disk.Files(folder)
	if err != nil {
		return err
	}
	for name := range files {
		if err := d.disk.Remove(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// Save puts data in place of what the ID had before. ErrFull. The slice stays
// the caller's. After any other error from the disk the ID has either of the
// two, whole.
func (d *Dir) Save(ctx context.Context, id string, data []byte) error {
	if err := check(ctx, id, data); err != nil {
		return fmt.Errorf("snapshot: save %q: %w", id, err)
	}
	file := appendFile(make([]byte, 0, headerSize+len(id)+len(data)), id, data)
	if err := d.save(d.base(id), file); err != nil {
		return fmt.Errorf("snapshot: save %q: %w", id, err)
	}
	return nil
}

func (d *Dir) save(base string, file []byte) error {
	size := allotted(int64(len(file)))
	temp, err := d.begin(size)
	if err != nil {
		return err
	}
	if err = d.disk.Write(temp, file); err == nil {
		err = d.put(temp, base+whole)
	}
	if err != nil {
		return errors.Join(err, d.abandon(temp, size))
	}
	return d.disk.SyncFolder(filepath.Dir(base))
}

// begin reserves the room of a file and names it.
func (d *Dir) begin(size int64) (temp string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used+size > d.limit {
		return "", fmt.Errorf("%d bytes of %d are used in %s: %w", d.used, d.limit, d.path, ErrFull)
	}
	d.used += size
	d.writes++
	return filepath.Join(d.path, unfinished, strconv.FormatUint(d.writes, 10)), nil
}

// abandon gives back what begin reserved, once the file is gone.
func (d *Dir) abandon(temp string, size int64) error {
	if err := d.disk.Remove(temp); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used -= size
	return nil
}

// put gives a file the name of another, whose room it gives back.
func (d *Dir) put(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.putLocked(from, to)
}

func (d *Dir) putLocked(from, to string) error {
	old, err := d.roomLocked(to)
	if err != nil {
		return err
	}
	if err := d.disk.Rename(from, to); err != nil {
		return err
	}
	d.used -= old
	return nil
}

// roomLocked returns what the file takes, 0 when there is none.
func (d *Dir) roomLocked(path string) (int64, error) {
	size, err := d.disk.Size(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return allotted(size), err
}

// Load returns what was last saved under the ID. ErrNone; ErrDamaged, which
// names the file that is kept aside for whoever wants to look: Load goes on
// to say so until the ID is saved anew or deleted.
func (d *Dir) Load(ctx context.Context, id string) ([]byte, error) {
	if err := check(ctx, id, nil); err != nil {
		return nil, fmt.Errorf("snapshot: load %q: %w", id, err)
	}
	data, err := d.load(id)
	if err != nil {
		return nil, fmt.Errorf("snapshot: load %q: %w", id, err)
	}
	return data, nil
}

func (d *Dir) load(id string) ([]byte, error) {
	base := d.base(id)
	data, err := d.read(base+whole, id)
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	// Again, now that no other file can take its place.
	d.mu.Lock()
	defer d.mu.Unlock()
	data, err = d.read(base+whole, id)
	switch {
	case errors.Is(err, ErrDamaged):
		if moved := d.putLocked(base+whole, base+aside); moved != nil {
			return nil, errors.Join(err, moved)
		}
		return nil, fmt.Errorf("%w; kept as %s", err, base+aside)
	case errors.Is(err, fs.ErrNotExist):
		return nil, d.missingLocked(base)
	}
	return data, err
}

// missingLocked says why an ID has no whole snapshot.
func (d *Dir) missingLocked(base string) error {
	_, err := d.disk.Size(base + aside)
	switch {
	case err == nil:
		return fmt.Errorf("%w: kept as %s", ErrDamaged, base+aside)
	case errors.Is(err, fs.ErrNotExist):
		return ErrNone
	}
	return err
}

func (d *Dir) read(path, id string) ([]byte, error) {
	file, err := d.disk.Read(path)
	if err != nil {
		return nil, err
	}
	data, err := parseFile(file, id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// Delete forgets the snapshot of the ID, and a damaged one that is kept aside.
// It is no error when there is none.
func (d *Dir) Delete(ctx context.Context, id string) error {
	if err := check(ctx, id, nil); err != nil {
		return fmt.Errorf("snapshot: delete %q: %w", id, err)
	}
	base := d.base(id)
	// In this order: a damaged one alone would stand for the whole one.
	err := d.remove(base + aside)
	if err == nil {
		err = d.remove(base + whole)
	}
	if err == nil {
		err = d.disk.SyncFolder(filepath.Dir(base)) // also for a Delete that failed before it
	}
	if err != nil {
		return fmt.Errorf("snapshot: delete %q: %w", id, err)
	}
	return nil
}

func (d *Dir) remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	size, err := d.roomLocked(path)
	if err != nil {
		return err
	}
	if err := d.disk.Remove(path); err != nil {
		return err
	}
	d.used -= size
	return nil
}

// Used returns the bytes that count towards the limit.
func (d *Dir) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// base is the path of an ID's files without their extension.
func (d *Dir) base(id string) string {
	folder, name := nameOf(id)
	return filepath.Join(d.path, folder, name)
}

// allotted is what a file of this size takes on the disk; an empty one takes
// its entry in the folder.
func allotted(size int64) int64 {
	return max(block, (size+block-1)/block*block)
}
