package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/atrium-iot/atrium/cloud/identity"
)

// serveGate is this program in its other role: a gate before a real journal as
// a process of its own. It says where it listens and ends with its input.
func serveGate(ctx context.Context, dir string) error {
	c, err := openCloud(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Println(c.addr)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, c.stop())
}

// server is such a process, seen from outside.
type server struct {
	addr  string
	ca    *identity.CA
	cmd   *exec.Cmd
	input io.Closer
}

func startServer(ctx context.Context, dir string) (_ *server, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{cmd: exec.CommandContext(ctx, program, "-gate", dir)}
	s.cmd.Stderr = os.Stderr
	if s.input, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the gate says no address: %w", err), s.stop())
	}
	s.addr = strings.TrimSpace(line)
	if s.ca, err = identity.OpenCA(filepath.Join(dir, "ca")); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

func (s *server) stop() error { return errors.Join(s.input.Close(), s.cmd.Wait()) }
