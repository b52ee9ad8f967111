package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/atrium-iot/atrium/tests/trial"
)

// previous names the commit whose program is the version before this one.
//
//go:embed previous
var previous string

// formerSource is what a scenario needs that builds the version before: a shallow
// clone lacks it. Git finds the clone from the working directory.
var formerSource = trial.Need{Name: "the previous version", Try: func() error {
	commit := strings.TrimSpace(previous)
	if out, err := exec.Command("git", "cat-file", "-e", commit+"^{commit}").CombinedOutput(); err != nil {
		return fmt.Errorf("the clone has no commit %s: %w %s", commit, err, bytes.TrimSpace(out))
	}
	return nil
}}

// build makes the previous version's program, in a folder that it returns.
func (t *rig) build(ctx context.Context) (bin string, err error) {
	source := filepath.Join(t.Dir, "previous")
	bin = filepath.Join(source, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return "", err
	}
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", err
	}
	archive := exec.CommandContext(ctx, "git", "-C", string(bytes.TrimSpace(top)), "archive", strings.TrimSpace(previous))
	unpack := exec.CommandContext(ctx, "tar", "-x", "-C", source)
	if unpack.Stdin, err = archive.StdoutPipe(); err != nil {
		return "", err
	}
	if err := archive.Start(); err != nil {
		return "", err
	}
	if err := errors.Join(unpack.Run(), archive.Wait()); err != nil {
		return "", fmt.Errorf("take the previous version's source: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), "./cloud/cmd/atrium-cloud")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the previous version: %w\n%s", err, out)
	}
	return bin, nil
}

// upgrade has every node run this version, one at a time, and then the one before
// again.
func upgrade(ctx context.Context, t *rig) error {
	for i := range t.Rounds(3, 1) {
		for _, to := range []struct{ what, bin string }{{"this version", t.Bin}, {"the version before", t.former}} {
			for _, n := range t.cluster.All {
				if _, err := t.settled(ctx); err != nil {
					return err
				}
				if err := n.Leave(); err != nil {
					return err
				}
				n.Use(to.bin)
				if err := t.restore(ctx, n); err != nil {
					return fmt.Errorf("round %d: %s with %s: %w", i+1, n.Name, to.what, err)
				}
				t.Say("round %d: %s runs %s", i+1, n.Name, to.what)
			}
		}
	}
	return nil
}
