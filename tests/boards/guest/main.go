// Command guest is the first process of an emulated board, and all that there
// is beside the gateway's agent: it mounts what the agent needs, loads the
// kernel modules of the archive in their order, gives the network interface its
// address, runs /bin/atrium-edge, and restarts the board when that ends. It has
// no configuration; what the agent does is in /etc/atrium/edge.yaml.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// deviceTimeout is how long the kernel may take to find a device after its
	// driver is loaded; USB on an emulated processor needs seconds.
	deviceTimeout = 60 * time.Second
	pollEvery     = 20 * time.Millisecond
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: it mounts file systems and restarts the machine: only for the first process of an emulated board")
		os.Exit(2)
	}
	fmt.Println("guest: the agent ended:", run())
	unix.Sync()
	// QEMU's Raspberry Pi can restart and not power off.
	fmt.Println("guest: restart:", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

func run() error {
	if err := mount(); err != nil {
		return err
	}
	if err := loadModules("/lib/modules/order"); err != nil {
		return err
	}
	if err := network(); err != nil {
		return err
	}
	// The agent takes a bus that is not there for a wrong configuration.
	if _, err := waitFor("/dev/i2c-1"); err != nil {
		return err
	}
	agent := exec.Command("/bin/atrium-edge", "run", "--config", "/etc/atrium/edge.yaml")
	agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
	fmt.Println("guest: starting the agent")
	return agent.Run()
}

// mount mounts what systemd would. The agent's state is on a tmpfs, because
// the archive's own file system does not tell how much space is free.
func mount() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/var/lib/atrium"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
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
