package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/tests/boards/plan"
)

// crew is the programs that run, in the order of their start.
type crew struct {
	programs []*exec.Cmd
	ended    chan error // has room for all
}

func start(programs []plan.Program) (*crew, error) {
	c := &crew{ended: make(chan error, len(programs))}
	for _, p := range programs {
		fmt.Println("guest: starting", p.Args)
		cmd := exec.Command(p.Args[0], p.Args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		c.programs = append(c.programs, cmd)
		go func() { c.ended <- fmt.Errorf("%s: %w", p.Args, ending(cmd.Wait())) }()
		if p.Ready != "" {
			if _, err := waitFor(p.Ready); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// errCleanly is an end with status 0.
var errCleanly = errors.New("ended with status 0")

func ending(err error) error {
	if err == nil {
		return errCleanly
	}
	return err
}

// obey carries out orders until one of them, or a program, ends it all.
func (c *crew) obey(d *disk) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-c.ended:
			return err
		case <-tick.C:
		}
		text, err := os.ReadFile(plan.Order)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		command, by, err := plan.ParseOrder(text)
		if err != nil {
			return err
		}
		fmt.Printf("guest: order: %s", text)
		if err := c.carryOut(command, by, d); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		if err := os.Remove(plan.Order); err != nil {
			return err
		}
		if command != plan.Step {
			return fmt.Errorf("it was ordered: %s", command)
		}
	}
}

func (c *crew) carryOut(command plan.Command, by time.Duration, d *disk) error {
	switch command {
	case plan.Step:
		return setClock(time.Now().Add(by))
	case plan.Cut:
		if d == nil {
			return errors.New("the plan has no disk")
		}
		if err := c.freeze(); err != nil {
			return err
		}
		return d.drop()
	default:
		return c.stop()
	}
}

// freeze stops the programs where they are. When it returns, none of them runs
// in user space any more, so that what the disk tells them from now on reaches
// nobody: a power cut gives no fsync an answer either.
func (c *crew) freeze() error {
	for _, p := range c.programs {
		if err := p.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
	}
	for _, p := range c.programs {
		for {
			frozen, err := isFrozen(p.Process.Pid)
			if err != nil {
				return err
			}
			if frozen {
				break
			}
			time.Sleep(time.Millisecond) // the kernel's affair: nothing tells it
		}
	}
	return nil
}

// isFrozen says whether each thread of a process is stopped, or in a wait of
// the kernel that it will leave stopped (proc_pid_stat(5)).
func isFrozen(pid int) (bool, error) {
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	if err != nil {
		return false, err
	}
	for _, t := range threads {
		text, err := os.ReadFile(t)
		if err != nil {
			return false, err
		}
		_, rest, _ := bytes.Cut(text, []byte(") ")) // behind the program's name
		if len(rest) == 0 || !bytes.ContainsRune([]byte("TD"), rune(rest[0])) {
			return false, nil
		}
	}
	return len(threads) > 0, nil
}

// stop ends the programs as an operator does, the last first. One that ends
// otherwise is an error.
func (c *crew) stop() error {
	for _, p := range slices.Backward(c.programs) {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		if err := <-c.ended; !errors.Is(err, errCleanly) {
			return err
		}
	}
	return nil
}
