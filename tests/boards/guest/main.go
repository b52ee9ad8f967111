// Command guest is the first process of an emulated board, and all that there
// is beside the programs that it runs: it mounts what they need, loads the
// kernel modules of the archive in their order, gives the network interface its
// address, sets the clock if it is told to, and does what the plan says: it starts the programs, carries out the
// host's orders, and restarts the board when a program ends.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/tests/boards/plan"
)

const (
	// deviceTimeout is how long the kernel may take to find a device after its
	// driver is loaded, and a program to be ready; USB on an emulated processor
	// needs seconds.
	deviceTimeout = 60 * time.Second
	pollEvery     = 20 * time.Millisecond
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: it mounts file systems and restarts the machine: only for the first process of an emulated board")
		os.Exit(2)
	}
	fmt.Println("guest: the end:", run())
	unix.Sync()
	// QEMU's Raspberry Pi can restart and not power off.
	fmt.Println("guest: restart:", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

func run() error {
	text, err := os.ReadFile(plan.Path)
	if err != nil {
		return err
	}
	p, err := plan.Parse(text)
	if err != nil {
		return err
	}
	for _, kind := range []struct{ name, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"},
	} {
		if err := mount(kind.name, kind.name, kind.at, ""); err != nil {
			return err
		}
	}
	if err := loadModules("/lib/modules/order"); err != nil {
		return err
	}
	if err := network(p.Alone); err != nil {
		return err
	}
	if !p.Clock.IsZero() {
		if err := setClock(p.Clock); err != nil {
			return err
		}
	}
	for _, file := range p.Wait {
		if _, err := waitFor(file); err != nil {
			return err
		}
	}
	return perform(p)
}

// perform mounts what the plan names, and starts and orders the programs.
func perform(p plan.Plan) error {
	if p.Tag != "" {
		if err := mount(p.Tag, "9p", plan.Share, "trans=virtio,version=9p2000.L"); err != nil {
			return err
		}
	}
	var d *disk
	if p.Disk == "" {
		// The archive's own file system does not tell how much space is free.
		if err := mount("tmpfs", "tmpfs", plan.State, ""); err != nil {
			return err
		}
	} else {
		var err error
		if d, err = mountDisk(p.Disk, plan.State); err != nil {
			return err
		}
	}
	c, err := start(p.Programs)
	if err != nil {
		return err
	}
	if p.Tag == "" {
		return <-c.ended
	}
	return c.obey(d)
}

func setClock(t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}

func mount(source, kind, at, options string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, at, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	return nil
}

// loadModules loads the modules of a list, one file a line.
func loadModules(list string) error {
	files, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	for _, file := range strings.Fields(string(files)) {
		if err := loadModule(file); err != nil {
			return fmt.Errorf("module %s: %w", file, err)
		}
	}
	return nil
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// waitFor returns the first file that matches a pattern, when there is one.
func waitFor(pattern string) (string, error) {
	deadline := time.After(deviceTimeout)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return "", fmt.Errorf("no %s within %s", pattern, deviceTimeout)
		}
	}
}
