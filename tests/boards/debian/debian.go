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

// layout names the folder of what this package unpacks; another layout or list
// of packages gets another name, so that an old cache is not taken for it.
const layout = "arm64-1"

// ErrUnavailable wraps every reason for which packages cannot be had here.
var ErrUnavailable = errors.New("packages cannot be had")

// Set is the unpacked packages, below one folder.
type Set struct {
	emulator string
	kernel   string
}

// Fetch returns the packages from the cache folder, and downloads them into it
// if they are not there: 90 MB, 500 MB unpacked. A download that is interrupted
// leaves nothing that a later one would take for whole.
func Fetch(ctx context.Context, cache string, say func(format string, args ...any)) (Set, error) {
	folder := filepath.Join(cache, layout)
	set := Set{emulator: filepath.Join(folder, "emulator"), kernel: filepath.Join(folder, "kernel")}
	if _, err := os.Stat(folder); err == nil {
		return set, nil
	}
	say("downloading the emulator and the kernel into %s", folder)
	if err := download(ctx, cache, folder); err != nil {
		return Set{}, fmt.Errorf("debian: %w: %w", ErrUnavailable, err)
	}
	return set, nil
}

func download(ctx context.Context, cache, folder string) (err error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "download-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	a, err := newApt(ctx, filepath.Join(work, "apt"))
	if err != nil {
		return err
	}
	unpacked := filepath.Join(work, "unpacked")
	if err := a.emulator(ctx, filepath.Join(unpacked, "emulator")); err != nil {
		return err
	}
	if err := a.kernel(ctx, filepath.Join(unpacked, "kernel")); err != nil {
		return err
	}
	err = os.Rename(unpacked, folder)
	if errors.Is(err, os.ErrExist) {
		return nil // another run was faster
	}
	return err
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
	return []string{bin, "-L", filepath.Join(s.emulator, "usr", "share", "qemu")}, env, nil
}

// Kernel returns the kernel's image, the device tree of a board by its path
// below the kernel's own, such as broadcom/bcm2837-rpi-3-b.dtb, and the folder
// of its modules.
func (s Set) Kernel(board string) (image, tree, modules string, err error) {
	for _, f := range []struct {
		into    *string
		pattern string
	}{
		{&image, "boot/vmlinuz-*"},
		{&tree, "usr/lib/linux-image-*/" + board},
		{&modules, "lib/modules/*"},
	} {
		found, err := filepath.Glob(filepath.Join(s.kernel, f.pattern))
		if err == nil && len(found) == 0 && strings.HasPrefix(f.pattern, "lib/") {
			found, err = filepath.Glob(filepath.Join(s.kernel, "usr", f.pattern)) // from Debian 13 on
		}
		if err != nil || len(found) != 1 {
			return "", "", "", fmt.Errorf("debian: kernel: want one %s below %s, found %d: %w", f.pattern, s.kernel, len(found), errors.Join(err, os.ErrNotExist))
		}
		*f.into = found[0]
	}
	return image, tree, modules, nil
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
