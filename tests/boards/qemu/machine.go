// Package qemu runs an emulated machine and reaches into it from outside, as
// the physical world would: QMP, QEMU's control protocol, sets what a modelled
// sensor measures. What boots in the machine is its caller's affair.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// connectTimeout is how long QEMU may take to come to its control socket.
	connectTimeout = 30 * time.Second
	// quitTimeout is how long it may take to end when it is told to.
	quitTimeout = 10 * time.Second
	// niceness leaves the machine's other work in front of an emulated processor.
	niceness = "10"
)

// Config says what to run.
type Config struct {
	Command []string // QEMU and its arguments, without those of control and console
	Env     []string // beside this process's
	Dir     string   // for the console's log and QEMU's messages
	// Consoles is how many serial ports come before the one that is the
	// kernel's console.
	Consoles int
}

// Machine is a running QEMU.
type Machine struct {
	control *Control
	cmd     *exec.Cmd
	console string // file
	output  string // file of QEMU's own messages
	done    chan struct{}
	err     error // how QEMU ended, once done is closed
}

// Start runs QEMU and connects to its control socket. The machine stops with
// Stop; a killed caller takes it along.
func Start(ctx context.Context, cfg Config) (*Machine, error) {
	m := &Machine{console: filepath.Join(cfg.Dir, "console.log"), output: filepath.Join(cfg.Dir, "qemu.log"), done: make(chan struct{})}
	socket := filepath.Join(cfg.Dir, "qmp")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("qemu: control: %w", err)
	}
	defer l.Close()
	if err := m.launch(cfg, socket); err != nil {
		return nil, fmt.Errorf("qemu: %w", err)
	}
	if m.control, err = m.connect(ctx, l); err != nil {
		return nil, errors.Join(fmt.Errorf("qemu: control: %w%s", err, m.Tail()), m.kill())
	}
	return m, nil
}

func (m *Machine) launch(cfg Config, socket string) error {
	out, err := os.Create(m.output)
	if err != nil {
		return err
	}
	args := slices.Concat([]string{"-n", niceness}, cfg.Command, []string{"-display", "none", "-monitor", "none", "-no-reboot", "-qmp", "unix:" + socket})
	for range cfg.Consoles {
		args = append(args, "-serial", "null")
	}
	m.cmd = exec.Command("nice", append(args, "-serial", "file:"+m.console)...)
	m.cmd.Env = append(os.Environ(), cfg.Env...)
	m.cmd.Stdout, m.cmd.Stderr = out, out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return errors.Join(err, out.Close())
	}
	go func() {
		m.err = errors.Join(m.cmd.Wait(), out.Close())
		close(m.done)
	}()
	return nil
}

// connect waits until QEMU comes to the socket, or ends.
func (m *Machine) connect(ctx context.Context, l net.Listener) (*Control, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	go func() {
		select {
		case <-m.done:
			l.Close()
		case <-ctx.Done():
		}
	}()
	c, err := l.Accept()
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	return NewControl(c)
}

// Set gives a property of a device a value: path is the device's in QEMU's
// object model, such as /machine/peripheral/NAME.
func (m *Machine) Set(path, property string, value any) error {
	_, err := m.control.Execute("qom-set", map[string]any{"path": path, "property": property, "value": value})
	if err != nil {
		return fmt.Errorf("qemu: set %s of %s: %w", property, path, err)
	}
	return nil
}

// SetLink plugs the cable of a network adapter in or out; name is its netdev's.
func (m *Machine) SetLink(name string, up bool) error {
	_, err := m.control.Execute("set_link", map[string]any{"name": name, "up": up})
	if err != nil {
		return fmt.Errorf("qemu: link of %s: %w", name, err)
	}
	return nil
}

// Console returns what the guest has printed.
func (m *Machine) Console() (string, error) {
	console, err := os.ReadFile(m.console)
	if err != nil {
		return "", fmt.Errorf("qemu: console: %w", err)
	}
	return string(console), nil
}

// Ended is closed when QEMU has ended: the guest has restarted or powered off,
// or QEMU failed.
func (m *Machine) Ended() <-chan struct{} { return m.done }

// Stop ends QEMU as a power switch does, and waits until it has.
func (m *Machine) Stop() error {
	select {
	case <-m.done:
		return errors.Join(m.err, m.control.Close())
	default:
	}
	_, err := m.control.Execute("quit", nil)
	select {
	case <-m.done:
		// QEMU may be gone before its answer is read.
		return errors.Join(m.err, m.control.Close())
	case <-time.After(quitTimeout):
		return errors.Join(fmt.Errorf("qemu: did not quit within %s", quitTimeout), err, m.kill(), m.control.Close())
	}
}

func (m *Machine) kill() error {
	err := m.cmd.Process.Kill()
	<-m.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Tail returns the ends of the guest's console and of QEMU's messages, to be
// read beside an error.
func (m *Machine) Tail() string {
	const last = 3 << 10
	var b strings.Builder
	for _, file := range []string{m.output, m.console} {
		text, err := os.ReadFile(file)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(&b, "\n--- the end of %s\n%s", file, strings.TrimSpace(string(text[max(0, len(text)-last):])))
	}
	return b.String()
}
