// Package process runs a program beside this one: it starts it, waits until it
// says that it is ready, and ends it cleanly or as a power switch would. What
// the program prints goes to a log file of its own, over all its restarts. The
// package decides nothing about restarts.
//
// A killed parent leaves no child behind: the kernel kills the children with it
// (prctl(2), PR_SET_PDEATHSIG). It does so when the thread that forked ends, which
// Go's threads do with the process, but for those that a goroutine locked.
package process

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// readyTimeout is how long a program may take to serve; a cold cloud node
	// needs well under a second, a loaded machine has been seen to need ten.
	readyTimeout = 30 * time.Second
	// stopTimeout is how long a program may take to end after SIGTERM.
	stopTimeout = 20 * time.Second
	pollEvery   = 20 * time.Millisecond
	// tail is how much of a log an error shows: a screen.
	tail = 2 << 10
)

// Config says what to run.
type Config struct {
	Name string   // in errors
	Args []string // the program first
	Log  string   // file of stdout and stderr, appended to
	// HTTP is the program's HTTP base, whose /readyz says that it is ready;
	// empty: it prints a line that begins with "ready".
	HTTP string
	// Ready is how long it may take to be ready; 0 means 30 s.
	Ready time.Duration
}

// Process is a program that runs, or has run. Its methods may be called from
// several goroutines; Start only while it does not run.
type Process struct {
	cfg Config

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
}

// New returns a process that does not run yet.
func New(cfg Config) *Process { return &Process{cfg: cfg} }

// Start runs the program and returns once it is ready. After an error it may
// run still: Kill it.
func (p *Process) Start(ctx context.Context) error {
	out, err := os.OpenFile(p.cfg.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", p.cfg.Name, err)
	}
	size, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", p.cfg.Name, err), out.Close())
	}
	cmd := exec.Command(p.cfg.Args[0], p.cfg.Args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	// A terminal's interrupt is for the parent, which stops its children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", p.cfg.Name, err), out.Close())
	}
	done := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.done, p.err = cmd, done, nil
	p.mu.Unlock()
	go func() {
		err := errors.Join(cmd.Wait(), out.Close())
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(done)
	}()
	return p.awaitReady(ctx, done, size)
}

func (p *Process) awaitReady(ctx context.Context, done <-chan struct{}, from int64) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.cfg.Ready, readyTimeout))
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !p.ready(ctx, from) {
		select {
		case <-done:
			return fmt.Errorf("%s ended before it was ready: %w\n%s", p.cfg.Name, p.ended(), p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready: %w\n%s", p.cfg.Name, ctx.Err(), p.Tail())
		case <-tick.C:
		}
	}
	return nil
}

func (p *Process) ready(ctx context.Context, from int64) bool {
	if p.cfg.HTTP == "" {
		b, err := os.ReadFile(p.cfg.Log)
		return err == nil && int64(len(b)) > from && bytes.Contains(append([]byte("\n"), b[from:]...), []byte("\nready"))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.cfg.HTTP+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// running returns the command and the channel of its end; nil before Start.
func (p *Process) running() (*exec.Cmd, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.done
}

func (p *Process) ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Done is closed when the program that Start began has ended; nil before Start.
func (p *Process) Done() <-chan struct{} {
	_, done := p.running()
	return done
}

// Kill ends the program as a power switch would: SIGKILL, nothing flushed.
func (p *Process) Kill() error {
	cmd, done := p.running()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: kill: %w", p.cfg.Name, err)
	}
	<-done
	return nil
}

// Stop sends SIGTERM and waits for a clean end with status 0. A program that
// does not run is stopped already.
func (p *Process) Stop() error {
	cmd, done := p.running()
	if cmd == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	default:
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: stop: %w", p.cfg.Name, err)
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
		return errors.Join(fmt.Errorf("%s did not stop within %s\n%s", p.cfg.Name, stopTimeout, p.Tail()), p.Kill())
	}
	if err := p.ended(); err != nil {
		return fmt.Errorf("%s did not stop cleanly: %w\n%s", p.cfg.Name, err, p.Tail())
	}
	return nil
}

// Name is the name in the configuration.
func (p *Process) Name() string { return p.cfg.Name }

// PID is the running program's id, 0 before Start.
func (p *Process) PID() int {
	cmd, _ := p.running()
	if cmd == nil {
		return 0
	}
	return cmd.Process.Pid
}

// URL is the program's HTTP base, "" without one.
func (p *Process) URL() string { return p.cfg.HTTP }

// Tail returns the end of the program's log.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.cfg.Log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-tail):])
}
