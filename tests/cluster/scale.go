package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// Of a cluster that grows and shrinks by itself. Six nodes here share the cores
// of one machine and each counts all of them as its own, so that no node can
// look busy: the shares are low. The windows are short because somebody waits;
// in between they hold two averages of the CPU, which go back ten seconds.
const (
	scaleOutAbove, scaleInBelow = "0.05", "0.025"
	scaleOutAfter, scaleInAfter = "10s", "20s"
	scaleEvery                  = "2s"

	// busySites is how many sites begin to send, and busyCounters what each has:
	// 160 readings and 20 frames a second.
	busySites, busyCounters = 8, 8

	// grownTo is how many workers there are to be under load.
	grownTo = 3
	// scales is how long it may take until all have come, and until all but the
	// first have gone: a window, a start or a drain, and the pause of placement
	// for each, on a machine that does something else as well.
	scales = 4 * time.Minute
)

// scaleFlags are the nodes'.
func scaleFlags() []string {
	return []string{
		"--scale-out-above", scaleOutAbove, "--scale-in-below", scaleInBelow,
		"--scale-out-after", scaleOutAfter, "--scale-in-after", scaleInAfter,
	}
}

// scale lets sites load the cluster and stop again, beside those that send all
// the time. atrium autoscale adds the workers and takes them out: nothing here
// tells it to.
func scale(ctx context.Context, t *rig) error {
	hooks, err := t.hooks()
	if err != nil {
		return err
	}
	t.Say("workers: %d; atrium autoscale looks every %s", t.workers(), scaleEvery)
	scaler := t.autoscaler(hooks)
	t.AtEnd(scaler.Stop)
	if err := scaler.Start(ctx); err != nil {
		return err
	}
	var busy []*line.Site
	for i := range busySites {
		s, err := t.line.Raise(ctx, line.Gateway{Site: fmt.Sprintf("busy-%d", i+1), Mode: "spill", Counters: busyCounters, Keys: "reconnect: 2s\ndrain: 15s"})
		if err != nil {
			return err
		}
		busy = append(busy, s)
	}
	t.Say("%d sites begin to send %d readings/s", busySites, 20*busySites*busyCounters)
	if err := t.scaled(ctx, hooks, grownTo); err != nil {
		return err
	}
	if err := t.shared(ctx); err != nil {
		return err
	}
	t.Say("every worker serves shards; the sites end")
	for _, s := range busy {
		if err := s.Gateway.Stop(); err != nil {
			return err
		}
	}
	return t.scaled(ctx, hooks, 1)
}

// autoscaler is atrium autoscale. It says nothing until it has looked, so a shell
// says that it is there.
func (t *rig) autoscaler(h *hooks) *process.Process {
	return process.New(process.Config{
		Name: "autoscale", Log: t.cluster.Folder("autoscale.log"),
		Args: []string{
			"/bin/sh", "-c", `echo ready; exec "$0" "$@"`,
			filepath.Join(t.Bin, "atrium"), "autoscale", "--api", t.cluster.All[0].URL(), "--every", scaleEvery,
			"--min", fmt.Sprint(nodes.Cores + 1), "--max", fmt.Sprint(nodes.Cores + grownTo), "--out", h.command, "--in", h.command,
		},
	})
}

// shared waits until each worker has a shard: only then has it taken work from
// the others.
func (t *rig) shared(ctx context.Context) error {
	return line.Within(ctx, takeOver, "each worker has a shard", func() (bool, error) {
		of, err := t.healthy(ctx)
		if err != nil {
			return false, err
		}
		idle := slices.ContainsFunc(t.cluster.Running(), func(n *nodes.Node) bool { return n.Worker && count(of, n.Name) == 0 })
		return !idle, nil
	})
}

// workers are those that run.
func (t *rig) workers() (n int) {
	for _, node := range t.cluster.Running() {
		if node.Worker {
			n++
		}
	}
	return n
}

// scaled does what the autoscaler asks for until there are so many workers. One
// step in the other direction is wrong: the load did not change.
func (t *rig) scaled(ctx context.Context, h *hooks, workers int) error {
	ctx, cancel := context.WithTimeout(ctx, scales)
	defer cancel()
	for before := t.workers(); before != workers; before = t.workers() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d workers, want %d (autoscale.log says why): %w", before, workers, ctx.Err())
		case err := <-h.broken:
			return err
		case asked := <-h.asked:
			if err := t.carryOut(ctx, asked); err != nil {
				return err
			}
		}
		now := t.workers()
		t.Say("workers: %d", now)
		if (now > before) != (workers > before) {
			return fmt.Errorf("there were %d workers and are %d, while %d are wanted", before, now, workers)
		}
	}
	return nil
}

// carryOut starts or stops a node as a command of the autoscaler wants it.
func (t *rig) carryOut(ctx context.Context, asked string) error {
	action, name, _ := strings.Cut(asked, " ")
	switch action {
	case "out":
		n, err := t.cluster.Add(true)
		if err != nil {
			return err
		}
		t.Say("autoscale has %s started", n.Name)
		return nodes.Start(ctx, n)
	case "in":
		i := slices.IndexFunc(t.cluster.Running(), func(n *nodes.Node) bool { return n.Worker && n.Name == name })
		if i < 0 {
			return fmt.Errorf("autoscale wants %s stopped, which is no worker that runs", name)
		}
		n := t.cluster.Running()[i]
		st, err := n.API.Status(ctx)
		if err != nil {
			return err
		}
		if len(st.Shards) > 0 {
			return fmt.Errorf("autoscale wants %s stopped, which still serves %d shards", name, len(st.Shards))
		}
		t.Say("autoscale has %s stopped, which serves nothing", name)
		return n.Leave()
	}
	return fmt.Errorf("autoscale asked for %q", asked)
}

// hooks is where the autoscaler's commands say what they are to do.
type hooks struct {
	command string
	asked   chan string
	broken  chan error
}

// hooks makes a pipe with a name. It is opened for both directions, so that it
// does not end with a command.
func (t *rig) hooks() (*hooks, error) {
	path := t.cluster.Folder("hooks")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	h := &hooks{
		command: fmt.Sprintf(`echo "$ATRIUM_ACTION $ATRIUM_NODE" >%q`, path),
		asked:   make(chan string, grownTo), broken: make(chan error, 1),
	}
	go func() {
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			h.asked <- strings.TrimSpace(lines.Text())
		}
		h.broken <- fmt.Errorf("no command is heard any more: %w", cmp.Or(lines.Err(), io.EOF))
	}()
	t.AtEnd(pipe.Close)
	return h, nil
}
