// Package line raises the whole line of Atrium as real processes on this
// machine: a cloud node, simulated boards, link relays and gateways, each with
// its own folder and log. It starts, kills and stops them and waits until they
// say that they are ready; what is then asked of them is its callers' affair.
package line

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// readyTimeout is how long a process may take to serve; a cold cloud node
	// needs well under a second, a loaded CI machine has been seen to need ten.
	readyTimeout = 30 * time.Second
	// stopTimeout is how long a process may take to end after SIGTERM.
	stopTimeout = 20 * time.Second
	pollEvery   = 20 * time.Millisecond
)

// Process is one program of the line.
type Process struct {
	Name string
	bin  string
	args []string
	log  string // stdout and stderr, appended over restarts
	url  string // its HTTP base, "" without one
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // how it ended, once done is closed
}

// Start runs the program and waits until its /readyz, or without HTTP its
// output, says that it is ready.
func (p *Process) Start(ctx context.Context) error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	size, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(err, out.Close())
	}
	cmd := exec.Command(p.bin, p.args...)
	cmd.Stdout, cmd.Stderr = out, out
	// A killed harness must leave no process behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", p.Name, err), out.Close())
	}
	done := make(chan struct{})
	p.cmd, p.done, p.err = cmd, done, nil
	go func() {
		p.err = errors.Join(cmd.Wait(), out.Close())
		close(done)
	}()
	return p.awaitReady(ctx, size)
}

func (p *Process) awaitReady(ctx context.Context, from int64) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !p.ready(from) {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %w\n%s", p.Name, p.err, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready: %w\n%s", p.Name, ctx.Err(), p.Tail())
		case <-tick.C:
		}
	}
	return nil
}

func (p *Process) ready(from int64) bool {
	if p.url == "" {
		b, err := os.ReadFile(p.log)
		return err == nil && int64(len(b)) > from && bytes.Contains(b[from:], []byte("ready"))
	}
	resp, err := http.Get(p.url + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Kill ends the process as a power switch would: SIGKILL, nothing flushed.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("%s: kill: %w", p.Name, err)
	}
	<-p.done
	return nil
}

// Stop sends SIGTERM and waits for a clean end with status 0.
func (p *Process) Stop() error {
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: stop: %w", p.Name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not stop within %s\n%s", p.Name, stopTimeout, p.Tail()), p.Kill())
	}
	if p.err != nil {
		return fmt.Errorf("%s did not stop cleanly: %w\n%s", p.Name, p.err, p.Tail())
	}
	return nil
}

// PID is the running process's id, for reading its memory.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// URL is the process's HTTP base.
func (p *Process) URL() string { return p.url }

// Tail returns the end of the process's log.
func (p *Process) Tail() string {
	const last = 2 << 10
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-last):])
}

// freePort asks the kernel for a port that nobody listens on. It may be taken
// before it is used; a program that finds it so says so and the run fails.
func freePort(network string) (string, error) {
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		return c.LocalAddr().String(), c.Close()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
