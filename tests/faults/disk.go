package main

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

// disk is a file system in an image file, mounted over a loop device.
type disk struct {
	image, folder string
}

// newDisk makes one of so many bytes below a folder, and mounts it.
func newDisk(dir string, size int64) (*disk, error) {
	d := &disk{image: filepath.Join(dir, "disk-0.img"), folder: filepath.Join(dir, "disk")}
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
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

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// mount takes the image as it is: a journal that was not finished is replayed.
// The file system's own timer commits seldom, so that what a gateway did not
// fsync is lost at a power cut and not saved by luck.
func (d *disk) mount() error {
	return command("mount", "-o", "loop,commit=300", d.image, d.folder)
}

func (d *disk) unmount() error { return command("umount", d.folder) }

// cut is a power cut: the disk goes on with what has reached it by now. The
// image is copied while nobody writes it, which is checked; then end must end
// those who use the disk.
func (d *disk) cut(copied string, end func() error) error {
	for stable := false; !stable; {
		if err := copyFile(d.image, copied); err != nil {
			return err
		}
		var err error
		if stable, err = same(d.image, copied); err != nil {
			return err
		}
	}
	if err := errors.Join(end(), d.unmount(), os.Remove(d.image)); err != nil {
		return err
	}
	d.image = copied
	return d.mount()
}

func copyFile(from, to string) error {
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

// fill writes somebody else's file until so many bytes are free.
func (d *disk) fill(leave int64) error {
	f, err := os.OpenFile(filepath.Join(d.folder, stranger), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for {
		free, err := d.free()
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

// release removes that file.
func (d *disk) release() error { return os.Remove(filepath.Join(d.folder, stranger)) }

// free is what a process that is not root may still write, in bytes.
func (d *disk) free() (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.folder, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}
