// Package initramfs makes the root file system that a Linux kernel unpacks
// before it starts /init: an uncompressed archive, which an emulated processor
// has sooner than one that it must inflate, and kernel modules in the order in
// which they can be loaded. It writes to a writer and reads module files; what
// goes in is its caller's affair.
package initramfs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
)

// File modes of cpio entries (cpio(5)): the type and the permissions.
const (
	modeDir    = 0o040755
	modeFile   = 0o100644
	modeRun    = 0o100755
	modeDevice = 0o020600
)

// Archive writes a cpio archive of the kind "newc", which the kernel takes
// (Documentation/driver-api/early-userspace/buffer-format.rst). Folders are
// made with the first file in them. The first error stays and Close returns it.
type Archive struct {
	w       io.Writer
	err     error
	written int64
	inode   uint32
	folders map[string]bool
}

// NewArchive starts an archive on w, which stays the caller's to close.
func NewArchive(w io.Writer) *Archive {
	return &Archive{w: w, folders: map[string]bool{}}
}

// Folder adds an empty folder and those above it.
func (a *Archive) Folder(name string) {
	if name == "." || a.folders[name] {
		return
	}
	a.Folder(path.Dir(name))
	a.folders[name] = true
	a.entry(name, modeDir, 0, 0, nil)
}

// File adds a file that anyone may read.
func (a *Archive) File(name string, data []byte) {
	a.Folder(path.Dir(name))
	a.entry(name, modeFile, 0, 0, data)
}

// Program adds a file that may be executed.
func (a *Archive) Program(name string, data []byte) {
	a.Folder(path.Dir(name))
	a.entry(name, modeRun, 0, 0, data)
}

// Device adds a character device. The kernel opens /dev/console before
// anything could mount devtmpfs.
func (a *Archive) Device(name string, major, minor uint32) {
	a.Folder(path.Dir(name))
	a.entry(name, modeDevice, major, minor, nil)
}

// Close writes the end of the archive and returns the first error.
func (a *Archive) Close() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

// entry writes a header of 8 hexadecimal digits a field, the name with its NUL,
// and the data, each padded to 4 bytes.
func (a *Archive) entry(name string, mode, major, minor uint32, data []byte) {
	if len(data) > math.MaxInt32 {
		a.err = errors.Join(a.err, fmt.Errorf("initramfs: %s: %d bytes are too many", name, len(data)))
		return
	}
	a.inode++
	var h strings.Builder
	h.WriteString("070701")
	for _, field := range [...]uint32{
		a.inode, mode, 0, 0, 1, 0, uint32(len(data)), // inode, mode, owner, group, links, time, size
		0, 0, major, minor, uint32(len(name) + 1), 0, // device of the file, of the node, name's size, no checksum
	} {
		fmt.Fprintf(&h, "%08X", field)
	}
	h.WriteString(name + "\x00")
	a.padded([]byte(h.String()))
	a.padded(data)
}

func (a *Archive) padded(b []byte) {
	a.write(b)
	a.write(make([]byte, -a.written&3))
}

func (a *Archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	a.written += int64(n)
	if err != nil {
		a.err = fmt.Errorf("initramfs: %w", err)
	}
}
