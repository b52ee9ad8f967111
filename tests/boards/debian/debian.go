// Package debian gets an emulator and a kernel out of Debian's packages without
// installing them: apt-get downloads, dpkg unpacks into a cache folder, and the
// machine stays as it is. Where packages come from is what the machine's apt is
// set up with; the package adds backports of the same mirror, because the
// emulator of Debian 12 itself has no I2C controller in its Raspberry Pi.
package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// layout is in the names of the folders that this package unpacks into; another
// layout gets another name, so that an old cache is not taken for it.
const layout = "-2"

// ErrUnavailable wraps every reason for which packages cannot be had here.
var ErrUnavailable = errors.New("packages cannot be had")

// Board is what an emulated board needs of Debian, by the names that it has
// there.
type Board struct {
	Arch     string // the kernel's architecture, such as arm64
	Kernel   string // the meta-package that depends on the newest kernel
	Emulator string // the package of QEMU
}

// Set is the unpacked packages, each below a folder of its own.
type Set struct {
	emulator string
	kernel   string
}

// Fetch returns the packages from the cache folder, and downloads into it those
// that are not there: about 90 MB, 500 MB unpacked. A download that is
// interrupted leaves nothing that a later one would take for whole.
func Fetch(ctx context.Context, cache string, board Board, say func(format string, args ...any)) (Set, error) {
	set := Set{
		emulator: filepath.Join(cache, board.Emulator+layout),
		kernel:   filepath.Join(cache, board.Kernel+"-"+board.Arch+layout),
	}
	missing := slices.DeleteFunc([]string{set.emulator, set.kernel}, func(folder string) bool {
		_, err := os.Stat(folder)
		return err == nil
	})
	if len(missing) == 0 {
		return set, nil
	}
	say("downloading into %s", strings.Join(missing, " and "))
	if err := download(ctx, cache, board, set, missing); err != nil {
		return Set{}, fmt.Errorf("debian: %w: %w", ErrUnavailable, err)
	}
	return set, nil
}

func download(ctx context.Context, cache string, board Board, set Set, missing []string) (err error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "download-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	a, err := newApt(ctx, filepath.Join(work, "apt"), board)
	if err != nil {
		return err
	}
	for _, folder := range missing {
		get := a.emulator
		if folder == set.kernel {
			get = a.kernel
		}
		unpacked := filepath.Join(work, filepath.Base(folder))
		if err := get(ctx, unpacked); err != nil {
			return err
		}
		// Another run may have been faster.
		if err := os.Rename(unpacked, folder); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// Emulator returns the command of an emulator by its name, such as
// qemu-system-aarch64, with its first arguments, and the environment that it
// needs beside the caller's.
func (s Set) Emulator(name string) (command, env []string, err error) {
	bin := filepath.Join(s.emulator, "usr", "bin", name)
	if _, err := os.Stat(bin); err != nil {
		return nil, nil, fmt.Errorf("debian: emulator: %w", err)
	}
	libraries, err := filepath.Glob(filepath.Join(s.emulator, "usr", "lib", "*-linux-gnu*"))
	if err != nil {
		return nil, nil, fmt.Errorf("debian: emulator: %w", err)
	}
	rootLibraries, err := filepath.Glob(filepath.Join(s.emulator, "lib", "*-linux-gnu*"))
	if err != nil {
		return nil, nil, fmt.Errorf("debian: emulator: %w", err)
	}
	env = []string{"LD_LIBRARY_PATH=" + strings.Join(slices.Concat(libraries, rootLibraries), ":")}
	share := filepath.Join(s.emulator, "usr", "share")
	return []string{bin, "-L", filepath.Join(share, "qemu"), "-L", filepath.Join(share, "seabios")}, env, nil
}

// Kernel returns the kernel's image and the folder of its modules.
func (s Set) Kernel() (image, modules string, err error) {
	if image, err = s.one("boot/vmlinuz-*"); err != nil {
		return "", "", err
	}
	modules, err = s.one("lib/modules/*")
	return image, modules, err
}

// Tree returns the device tree of a board by its path below the kernel's own,
// such as broadcom/bcm2837-rpi-3-b.dtb.
func (s Set) Tree(board string) (string, error) { return s.one("usr/lib/linux-image-*/" + board) }

// one is the only file of the kernel's package that matches a pattern.
func (s Set) one(pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(s.kernel, pattern))
	if err == nil && len(found) == 0 && strings.HasPrefix(pattern, "lib/") {
		found, err = filepath.Glob(filepath.Join(s.kernel, "usr", pattern)) // from Debian 13 on
	}
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("debian: kernel: want one %s below %s, found %d: %w", pattern, s.kernel, len(found), errors.Join(err, os.ErrNotExist))
	}
	return found[0], nil
}

// run executes a command to its end and returns what it printed.
func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
