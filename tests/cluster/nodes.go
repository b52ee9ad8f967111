package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/cloud/identity"
	cloud "github.com/atrium-iot/atrium/cloud/node"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	cores = 3
	// most is how many nodes a trial may have over its time, and the checker.
	most = 8
)

// node is one of the cluster.
type node struct {
	*process.Process
	name   string
	worker bool
	data   string
	gate   string
	api    *client.Client
	down   bool // it does not run, and should not
}

// address is where a node of the cluster listens.
type address struct{ gate, http, route, peer string }

// nodes are a cluster.
type nodes struct {
	bin, dir string
	all      []*node
	free     []address // of nodes to come; the last is the checker's
	core     []string  // the core nodes' routes
}

// newNodes reserves what nodes need and makes their authority.
func newNodes(ctx context.Context, bin, dir string) (*nodes, error) {
	c := &nodes{bin: bin, dir: dir}
	both, tcp, err := process.FreePorts(most, 3*most)
	if err != nil {
		return nil, err
	}
	for i := range most {
		a := address{gate: both[i], http: tcp[3*i], route: tcp[3*i+1], peer: tcp[3*i+2]}
		c.free = append(c.free, a)
		if i < cores {
			c.core = append(c.core, a.route)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "atrium-cloud"), "issue", "authority", "--data", c.folder("n1")).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("authority: %w\n%s", err, out)
	}
	return c, nil
}

func (c *nodes) folder(name string) string { return filepath.Join(c.dir, name) }

// authority is the folder of the cluster's authority of a node.
func (c *nodes) authority(name string) string { return filepath.Join(c.folder(name), cloud.CAFolder) }

// add makes a node, which does not run yet.
func (c *nodes) add(worker bool) (*node, error) {
	a := c.free[0]
	c.free = c.free[1:]
	n := &node{name: fmt.Sprintf("n%d", len(c.all)+1), worker: worker, gate: a.gate, down: true}
	n.data = c.folder(n.name)
	if err := c.certify(n); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(a.gate)
	if err != nil {
		return nil, err
	}
	args := []string{
		filepath.Join(c.bin, "atrium-cloud"), "run", "--name", n.name, "--data", n.data, "--http", a.http,
		"--listen", ":" + port, "--host", "127.0.0.1", "--cluster", strings.Join(c.core, ","), "--route", a.route, "--peer", a.peer,
	}
	if worker {
		args = append(args, "--role", "worker")
	}
	n.Process = process.New(process.Config{Name: n.name, Args: args, Log: c.folder(n.name + ".log"), HTTP: "http://" + a.http})
	if n.api, err = client.New(n.URL()); err != nil {
		return nil, err
	}
	c.all = append(c.all, n)
	return n, nil
}

// certify gives a node the cluster's authority, as an operator does.
func (c *nodes) certify(n *node) error {
	from, to := filepath.Join(c.authority("n1"), identity.StoreFile), filepath.Join(c.authority(n.name), identity.StoreFile)
	if from == to {
		return nil
	}
	secret, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, secret, 0o600))
}

// start runs nodes and waits until all are ready.
func start(ctx context.Context, all ...*node) error {
	errs := make(chan error)
	for _, n := range all {
		n.down = false
		go func() { errs <- n.Start(ctx) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return err
}

// kill ends a node as a power switch would.
func (n *node) kill() error {
	n.down = true
	return n.Kill()
}

// running are those that should be there.
func (c *nodes) running() (up []*node) {
	for _, n := range c.all {
		if !n.down {
			up = append(up, n)
		}
	}
	return up
}

// owner is who has a shard.
type owner struct {
	node  string
	epoch uint64
}

// owners asks every node for its shards. It is an error if one is not served by
// exactly one.
func (c *nodes) owners(ctx context.Context) (map[int]owner, error) {
	of := map[int]owner{}
	for _, n := range c.running() {
		st, err := n.api.Status(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range st.Shards {
			if other, twice := of[s.Shard]; twice {
				return nil, fmt.Errorf("shard %d is with %s and with %s", s.Shard, other.node, n.name)
			}
			of[s.Shard] = owner{n.name, s.Epoch}
		}
	}
	if len(of) != cloud.DefaultClusterShards {
		return nil, fmt.Errorf("%d of %d shards are served", len(of), cloud.DefaultClusterShards)
	}
	return of, nil
}

// ready returns nil when every node says that it is ready.
func (c *nodes) ready(ctx context.Context) error {
	for _, n := range c.running() {
		if _, err := proc.Get(ctx, n.URL()+"/readyz"); err != nil {
			return err
		}
	}
	return nil
}

// stop ends every node that runs, workers first: the shards of the last have
// nowhere to go.
func (c *nodes) stop() error {
	var err error
	for _, workers := range []bool{true, false} {
		errs := make(chan error)
		for _, n := range c.all {
			go func() {
				if n.worker != workers || n.Process == nil {
					errs <- nil
					return
				}
				errs <- n.Stop()
			}()
		}
		for range c.all {
			err = errors.Join(err, <-errs)
		}
	}
	return err
}
