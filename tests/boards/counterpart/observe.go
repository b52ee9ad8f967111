package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/tests/boards/look"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	// program is the agent's name.
	program = "atrium-edge"
	// every is how often it is looked at: to be asked costs it something too.
	every = 5 * time.Second
)

// observe looks at the agent now and then, and prints what it sees. One that is
// not there yet, or does not answer, is said and looked at again.
func observe(ctx context.Context, http string, counted *appender) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l, err := lookAt(ctx, http, counted)
		if err != nil {
			fmt.Println("counterpart:", err)
			continue
		}
		line, err := look.Line(l)
		if err != nil {
			return err
		}
		fmt.Print(line)
	}
}

func lookAt(ctx context.Context, http string, counted *appender) (l look.Look, err error) {
	pid, err := processOf(program)
	if err != nil {
		return l, err
	}
	s, err := agent.FetchStatus(ctx, http)
	if err != nil {
		return l, err
	}
	l = look.Look{Connected: s.Connected, Devices: s.Devices, Sampled: s.Sampled, Acked: s.Acked, Taken: counted.readings()}
	var errs [4]error
	l.Memory, errs[0] = proc.MemoryOf(pid)
	l.CPU, errs[1] = proc.CPUOf(pid)
	l.Available, errs[2] = proc.Available()
	l.Up, errs[3] = sinceBoot()
	return l, errors.Join(errs[:]...)
}

func sinceBoot() (time.Duration, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano()), err
}

// processOf finds a process by the name of its program (proc(5), comm).
func processOf(program string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		name, err := os.ReadFile(f)
		if err == nil && strings.TrimSpace(string(name)) == program { // another may have ended
			return strconv.Atoi(filepath.Base(filepath.Dir(f)))
		}
	}
	return 0, fmt.Errorf("no process runs %s", program)
}
