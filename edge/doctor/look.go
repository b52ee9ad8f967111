package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/shared/identity"
)

// Facts are what Look found.
type Facts struct {
	Subject Subject
	Now     time.Time

	FileSystem   uint32 // of the state folder: its magic (statfs(2))
	ReadOnly     bool
	Unwritable   error // why the state folder cannot be written
	Free, Used   int64 // bytes: on its file system, and by the buffer
	Synchronised bool  // the system's clock
	BootClock    error // why CLOCK_BOOTTIME or the boot's id cannot be read
	Nodes        []Node
	RMem, WMem   int64            // net.core.rmem_max and wmem_max; 0 if unknown
	Resolved     map[string]error // by gate: why its name does not resolve
	Certificate  Certificate
	UnderVoltage bool
	MemTotal     int64 // bytes of the machine; 0 if unknown
}

// Node is a /dev node of a bus.
type Node struct {
	Path  string
	Err   error  // why it cannot be opened for reading and writing
	Group string // that may
}

// Certificate is what the identity folder holds.
type Certificate struct {
	Err      error
	Gateway  string
	NotAfter time.Time
}

// resolveTimeout bounds the look-up of one gate's name.
const resolveTimeout = 5 * time.Second

// Look reads the facts. root is put before the paths of the system, "" outside
// of tests. It takes as long as names take to resolve.
func Look(ctx context.Context, s Subject, root string) Facts {
	at := func(path string) string { return filepath.Join(root, path) }
	f := Facts{Subject: s, Now: time.Now(), Resolved: map[string]error{}}
	f.lookAtState()
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	f.Synchronised = err == nil && state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
	var boot unix.Timespec
	_, idErr := os.ReadFile(at("/proc/sys/kernel/random/boot_id"))
	f.BootClock = errors.Join(unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot), idErr)
	for _, path := range s.Nodes {
		f.Nodes = append(f.Nodes, lookAtNode(root, path))
	}
	f.RMem, f.WMem = number(at("/proc/sys/net/core/rmem_max")), number(at("/proc/sys/net/core/wmem_max"))
	for _, gate := range s.Cloud {
		f.Resolved[gate] = resolve(ctx, gate)
	}
	creds, err := identity.Load(s.Identity)
	f.Certificate.Err = err
	if err == nil {
		f.Certificate.Gateway, f.Certificate.NotAfter = creds.Gateway.String(), creds.NotAfter()
	}
	f.UnderVoltage = underVoltage(at("/sys/class/hwmon"))
	f.MemTotal = memTotal(at("/proc/meminfo"))
	return f
}

// lookAtState looks at the state folder, or at the one above it that exists.
func (f *Facts) lookAtState() {
	dir := f.Subject.State
	for {
		_, err := os.Stat(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		f.Unwritable = fmt.Errorf("statfs %s: %w", dir, err)
		return
	}
	f.FileSystem, f.ReadOnly = uint32(st.Type), int64(st.Flags)&unix.ST_RDONLY != 0
	f.Free = int64(st.Bavail) * int64(st.Bsize)
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		f.Unwritable = fmt.Errorf("%s: %w", dir, err)
	}
	// What cannot be read counts as nothing.
	_ = filepath.WalkDir(filepath.Join(f.Subject.State, "buffer"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				f.Used += int64(st.Blocks) * 512
			}
		}
		return nil
	})
}

func lookAtNode(root, path string) Node {
	n := Node{Path: path}
	at := filepath.Join(root, path)
	info, err := os.Stat(at)
	if err != nil {
		n.Err = unwrap(err)
		return n
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n.Group = strconv.Itoa(int(st.Gid))
		if g, err := user.LookupGroupId(n.Group); err == nil {
			n.Group = g.Name
		}
	}
	n.Err = unix.Access(at, unix.R_OK|unix.W_OK)
	return n
}

// resolve looks a gate's name up, unless it is an address.
func resolve(ctx context.Context, gate string) error {
	host, _, err := net.SplitHostPort(gate)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	_, err = net.DefaultResolver.LookupHost(ctx, host)
	return err
}

// underVoltage reads the alarm of a Raspberry Pi's firmware: the supply was too
// weak since the boot, or is.
func underVoltage(hwmon string) bool {
	names, err := filepath.Glob(filepath.Join(hwmon, "hwmon*", "name"))
	if err != nil {
		return false
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(b)) == "rpi_volt" {
			return number(filepath.Join(filepath.Dir(name), "in0_lcrit_alarm")) != 0
		}
	}
	return false
}

// memTotal reads the machine's memory from /proc/meminfo.
func memTotal(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// number reads a file that holds one, 0 if it does not.
func number(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// unwrap returns the cause in a path error: the path is named already.
func unwrap(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
