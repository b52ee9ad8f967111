package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapperControl takes the requests of the kernel's device mapper
// (include/uapi/linux/dm-ioctl.h).
const mapperControl = "/dev/mapper/control"

// Requests of the device mapper: _IOWR(0xfd, n, struct dm_ioctl).
const (
	requestCreate  = 0xc138fd03
	requestSuspend = 0xc138fd06 // resumes without flagSuspend
	requestLoad    = 0xc138fd09
)

// Flags of a request.
const (
	flagSuspend    = 1 << 1  // DM_SUSPEND_FLAG
	flagSkipLockFS = 1 << 10 // DM_SKIP_LOCKFS_FLAG: nothing is written back before
	flagNoFlush    = 1 << 11 // DM_NOFLUSH_FLAG: what is under way waits for the next table
)

// request is struct dm_ioctl, and behind it room for one target.
type request struct {
	version     [3]uint32
	dataSize    uint32
	dataStart   uint32
	targets     uint32
	openCount   int32
	flags       uint32
	event       uint32
	_           uint32
	device      uint64
	name        [128]byte
	uuid        [129]byte
	_           [7]byte
	targetStart uint64 // struct dm_target_spec, in sectors
	targetSize  uint64
	status      int32
	next        uint32
	kind        [16]byte
	parameters  [256]byte
}

// mapped is a device of the device mapper with a single target.
type mapped struct {
	name    string
	under   string // the block device
	sectors uint64
}

// node is the block device that a file system may be on.
func (m *mapped) node() string { return "/dev/dm-0" } // the first and only one

// newMapped makes a device of the size of the one under it.
func newMapped(name, under string) (*mapped, error) {
	m := &mapped{name: name, under: under}
	size, err := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(under), "size"))
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Sscan(string(size), &m.sectors); err != nil {
		return nil, fmt.Errorf("size of %s: %w", under, err)
	}
	return m, m.do(requestCreate, 0, "")
}

// flakey puts the device on a target that behaves for up seconds and then for
// down seconds drops what is written, in turns (dm-flakey.rst). What is under
// way when it is changed goes to the new one.
func (m *mapped) flakey(up, down int) error {
	features := "0"
	if down > 0 {
		features = "1 drop_writes"
	}
	if err := m.do(requestLoad, 0, fmt.Sprintf("%s 0 %d %d %s", m.under, up, down, features)); err != nil {
		return err
	}
	if err := m.do(requestSuspend, flagSuspend|flagSkipLockFS|flagNoFlush, ""); err != nil {
		return err
	}
	return m.do(requestSuspend, 0, "")
}

func (m *mapped) do(number uint, flags uint32, target string) error {
	r := request{version: [3]uint32{4, 0, 0}, flags: flags}
	r.dataSize = uint32(unsafe.Sizeof(r))
	r.dataStart = uint32(unsafe.Offsetof(r.targetStart))
	copy(r.name[:], m.name)
	if target != "" {
		r.targets, r.targetSize = 1, m.sectors
		copy(r.kind[:], "flakey")
		copy(r.parameters[:], target)
	}
	control, err := os.OpenFile(mapperControl, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer control.Close()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), uintptr(number), uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(&r)
	if errno != 0 {
		return fmt.Errorf("device mapper: request %#x of %s: %w", number, m.name, errno)
	}
	return nil
}
