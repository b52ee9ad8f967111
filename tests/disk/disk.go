// Package disk does to disks and to what is on them what happens in the field: a
// file system of its own in an image file, which somebody else fills or which
// loses its power, a byte of a file that changes, a folder that comes back from a
// copy. It needs root, loop devices and mkfs.ext4 for the former, see Loops.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Disk is a file system in an image file, mounted over a loop device.
type Disk struct {
	Folder string // where it is mounted
	image  string
}

// New makes one of so many bytes in an image file, and mounts it at a folder.
func New(image, folder string, size int64) (*Disk, error) {
	d := &Disk{image: image, Folder: folder}
	if err := errors.Join(os.MkdirAll(filepath.Dir(image), 0o700), os.MkdirAll(folder, 0o700)); err != nil {
		return nil, err
	}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-F", d.image); err != nil {
		return nil, err
	}
	return d, d.mount()
}

// Loops returns nil if this process may mount images, as it often may not in a
// container, and otherwise why.
func Loops() error {
	if os.Geteuid() != 0 {
		return errors.New("mounting needs root")
	}
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "atrium-disk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := New(filepath.Join(dir, "image"), filepath.Join(dir, "disk"), 4<<20)
	if err != nil {
		return err
	}
	return d.Unmount()
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// mount takes the image as it is: a journal that was not finished is replayed.
// The file system's own timer commits seldom, so that what a process did not
// fsync is lost at a power cut and not saved by luck.
func (d *Disk) mount() error {
	return command("mount", "-o", "loop,commit=300", d.image, d.Folder)
}

// Unmount ends its use; who has a file of it open keeps it from that.
func (d *Disk) Unmount() error { return command("umount", d.Folder) }

// Cut is a power cut: the disk goes on with what has reached it by now. The
// image is copied while nobody writes it, which is checked; then end must end
// those who use the disk.
func (d *Disk) Cut(copied string, end func() error) error {
	for stable := false; !stable; {
		if err := copyImage(d.image, copied); err != nil {
			return err
		}
		var err error
		if stable, err = same(d.image, copied); err != nil {
			return err
		}
	}
	if err := errors.Join(end(), d.Unmount(), os.Remove(d.image)); err != nil {
		return err
	}
	d.image = copied
	return d.mount()
}

func copyImage(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// same compares two files of one length.
func same(a, b string) (bool, error) {
	f, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer g.Close()
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(f, x)
		m, _ := io.ReadFull(g, y)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return true, nil
			}
			return false, err
		}
	}
}

// stranger is the name of a file of somebody else on the disk.
const stranger = "somebody-elses"

// Fill writes somebody else's file until so many bytes are free.
func (d *Disk) Fill(leave int64) error {
	f, err := os.OpenFile(filepath.Join(d.Folder, stranger), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for {
		free, err := d.Free()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		if free <= leave {
			break
		}
		if _, err := f.Write(block[:min(int64(len(block)), free-leave)]); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// Release removes that file.
func (d *Disk) Release() error { return os.Remove(filepath.Join(d.Folder, stranger)) }

// Free is what a process that is not root may still write, in bytes.
func (d *Disk) Free() (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.Folder, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}
