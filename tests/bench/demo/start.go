package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	pollEvery = 20 * time.Millisecond
	// patience is how long anything is waited for: then it does not come.
	patience = time.Minute
)

// start is what the first minute of the demonstration costs.
type start struct {
	FirstValue time.Duration `json:"first_value_ns"`
	Age        time.Duration `json:"age_ns"` // when memory was read
	Memory     int64         `json:"memory_bytes"`
	Processes  []usage       `json:"processes"`
}

type usage struct {
	Name   string `json:"name"`
	Memory int64  `json:"memory_bytes"`
}

// measureStart runs `make demo` as a person would, without a terminal.
func measureStart(ctx context.Context, o options) (_ *start, err error) {
	cmd := exec.CommandContext(ctx, "make", "-C", o.root, "--no-print-directory", "demo")
	runtime := filepath.Join(o.dir, "run") // its state file, apart from a person's
	if err := os.MkdirAll(runtime, 0o700); err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+runtime, "TMPDIR="+o.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	var said bytes.Buffer // read once the demonstration has ended
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // make's status after an interrupt is not zero
		close(ended)
	}()
	defer func() {
		// The whole group, make and shell included: the demonstration stops its children.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // it may have ended
		<-ended
		if err != nil {
			err = fmt.Errorf("%w\nmake demo said:\n%s", err, &said)
		}
	}()
	state, err := await(ctx, "the demonstration's state file", ended, func() (demo.State, bool) {
		s, err := demo.ReadState(filepath.Join(runtime, filepath.Base(demo.StateFile())))
		return s, err == nil
	})
	if err != nil {
		return nil, err
	}
	c, err := client.New(state.Demo.URL)
	if err != nil {
		return nil, err
	}
	if _, err := await(ctx, "a first live value", ended, func() (struct{}, bool) { return struct{}{}, live(ctx, c) }); err != nil {
		return nil, err
	}
	s := &start{FirstValue: time.Since(begin), Age: o.age}
	if err := rest(ctx, o.age-s.FirstValue); err != nil {
		return nil, err
	}
	return s, s.weigh(state)
}

// live reports whether a device has a value.
func live(ctx context.Context, c *client.Client) bool {
	devices, err := c.Devices(ctx, id.Site("hq"))
	return err == nil && slices.ContainsFunc(devices, func(d client.Device) bool {
		return slices.ContainsFunc(d.Points, func(p client.Point) bool { return p.Value != nil })
	})
}

// await asks for what until it gets an answer, patience is over, or who is to
// give it has ended.
func await[T any](ctx context.Context, what string, ended <-chan struct{}, ask func() (T, bool)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if v, ok := ask(); ok {
			return v, nil
		}
		select {
		case <-ctx.Done():
			var none T
			return none, fmt.Errorf("%s did not come: %w", what, ctx.Err())
		case <-ended:
			var none T
			return none, fmt.Errorf("%s did not come: the demonstration ended", what)
		case <-tick.C:
		}
	}
}

// weigh adds up the demonstration and its children.
func (s *start) weigh(state demo.State) error {
	pids, err := children(state.Demo.PID)
	if err != nil {
		return err
	}
	for _, pid := range append(pids, state.Demo.PID) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			return err
		}
		bytes, err := proportional(pid)
		if err != nil {
			return err
		}
		s.Processes = append(s.Processes, usage{strings.TrimSpace(string(name)), bytes})
		s.Memory += bytes
	}
	return nil
}

// children lists the processes that a process started.
func children(pid int) ([]int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var all []int
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return nil, err
			}
			all = append(all, n)
		}
	}
	return all, nil
}

// proportional is a process's memory with its share of what others use too
// (proc(5), smaps_rollup, Pss).
func proportional(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "Pss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup of %d has no Pss", pid)
}
