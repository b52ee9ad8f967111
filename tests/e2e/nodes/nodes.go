// Package nodes raises a cluster of cloud nodes as real processes on this
// machine: core nodes, which found it together, and workers, which come and go.
// It says which shard is where; what is done to nodes is its callers' affair.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	cloud "github.com/atrium-iot/atrium/cloud/node"
	"github.com/atrium-iot/atrium/tests/e2e/lan"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	// Cores is how many nodes keep the log.
	Cores = 3
	// most is how many nodes a trial may have over its time, and the guest.
	most = 8
	// forms is how long nodes that start together may take: their store elects a
	// leader, and then one for each of some fifty streams.
	forms = 2 * time.Minute
)

// Node is one of them.
type Node struct {
	*process.Process
	Name   string
	Worker bool
	Data   string // its folder
	Gate   string // its address for gateways
	API    *client.Client
	Host   *lan.Host // nil: it is on this machine's loopback
	Down   bool      // it does not serve, and should not
	config process.Config
}

// address is where a node of the cluster listens.
type address struct{ gate, http, route, peer string }

// move has it listen elsewhere than on loopback, but for people, who come to the
// node itself.
func (a *address) move(ip string) {
	for _, at := range []*string{&a.gate, &a.route, &a.peer} {
		_, port, _ := strings.Cut(*at, ":")
		*at = net.JoinHostPort(ip, port)
	}
}

// Cluster are nodes that belong together.
type Cluster struct {
	bin, dir string
	lan      *lan.LAN
	All      []*Node   // by their names, n1 and on
	Flags    []string  // of every node that is added from now on
	free     []address // of nodes to come; the last is the guest's
	core     []string  // the core nodes' routes
}

// New reserves what nodes need and makes their authority.
func New(ctx context.Context, bin, dir string) (*Cluster, error) { return NewOn(ctx, bin, dir, nil) }

// NewOn is New with a host of a network, without any yet, for each node.
func NewOn(ctx context.Context, bin, dir string, l *lan.LAN) (*Cluster, error) {
	c := &Cluster{bin: bin, dir: dir, lan: l}
	ports, err := process.LastingPorts(4 * most)
	if err != nil {
		return nil, err
	}
	for i := range most {
		a := address{gate: ports[4*i], http: ports[4*i+1], route: ports[4*i+2], peer: ports[4*i+3]}
		if l != nil {
			a.move(l.IP(i))
		}
		if l != nil && i == most-1 {
			a.move(l.Here())
		}
		c.free = append(c.free, a)
		if i < Cores {
			c.core = append(c.core, a.route)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "atrium-cloud"), "issue", "authority", "--data", c.Folder("n1")).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("authority: %w\n%s", err, out)
	}
	return c, nil
}

// Folder is where a node, or something else of a name, has its files.
func (c *Cluster) Folder(name string) string { return filepath.Join(c.dir, name) }

// Authority is the folder of the cluster's authority of a node.
func (c *Cluster) Authority(name string) string { return filepath.Join(c.Folder(name), cloud.CAFolder) }

// Add makes a node, which does not run yet.
func (c *Cluster) Add(worker bool) (*Node, error) {
	a := c.free[0]
	c.free = c.free[1:]
	n := &Node{Name: fmt.Sprintf("n%d", len(c.All)+1), Worker: worker, Gate: a.gate, Down: true}
	n.Data = c.Folder(n.Name)
	if err := c.Certify(n); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(a.gate)
	if err != nil {
		return nil, err
	}
	args := []string{
		filepath.Join(c.bin, "atrium-cloud"), "run", "--name", n.Name, "--data", n.Data, "--http", a.http,
		"--listen", a.gate, "--host", host, "--cluster", strings.Join(c.core, ","), "--route", a.route, "--peer", a.peer,
	}
	if worker {
		args = append(args, "--role", "worker")
	}
	args = append(args, c.Flags...)
	if c.lan != nil {
		if n.Host, err = c.lan.Add(); err != nil {
			return nil, err
		}
		if err := n.Host.Forward(a.http); err != nil {
			return nil, err
		}
		args = append(n.Host.Exec(), args...)
	}
	n.config = process.Config{Name: n.Name, Args: args, Log: c.Folder(n.Name + ".log"), HTTP: "http://" + a.http, Ready: forms}
	n.Process = process.New(n.config)
	if n.API, err = client.New(n.URL()); err != nil {
		return nil, err
	}
	c.All = append(c.All, n)
	return n, nil
}

// Certify gives a node the cluster's authority, as an operator does.
func (c *Cluster) Certify(n *Node) error {
	from, to := filepath.Join(c.Authority("n1"), identity.StoreFile), filepath.Join(c.Authority(n.Name), identity.StoreFile)
	if from == to {
		return nil
	}
	secret, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, secret, 0o600))
}

// Start runs nodes and waits until all are ready.
func Start(ctx context.Context, all ...*Node) error {
	errs := make(chan error)
	for _, n := range all {
		n.Down = false
		go func() { errs <- n.Start(ctx) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return err
}

// Use has a node that does not run use the programs of a folder from its next start
// on.
func (n *Node) Use(bin string) {
	program := 0
	if n.Host != nil {
		program = len(n.Host.Exec())
	}
	n.config.Args[program] = filepath.Join(bin, filepath.Base(n.config.Args[program]))
	n.Process = process.New(n.config)
}

// PowerOff kills a node; it is not expected to serve until it is started again.
func (n *Node) PowerOff() error {
	n.Down = true
	return n.Kill()
}

// Leave has a node give its shards away and end.
func (n *Node) Leave() error {
	n.Down = true
	return n.Stop()
}

// Cloud is what a line of gateways needs to know of the nodes that there are.
func (c *Cluster) Cloud() *line.Cloud {
	out := &line.Cloud{API: c.All[0].URL(), Data: c.All[0].Data}
	for _, n := range c.All {
		out.Gates = append(out.Gates, n.Gate)
	}
	return out
}

// Running are those that should be there.
func (c *Cluster) Running() (up []*Node) {
	for _, n := range c.All {
		if !n.Down {
			up = append(up, n)
		}
	}
	return up
}

// Join makes a worker of the cluster within this process that takes no shard: it
// sees the logs and buckets that the nodes see.
func (c *Cluster) Join(ctx context.Context) (*journal.Server, error) {
	const name = "guest"
	ca, err := identity.OpenCA(c.Authority("n1"))
	if err != nil {
		return nil, err
	}
	route, err := ca.RouteTLS(name)
	if err != nil {
		return nil, err
	}
	s, err := journal.StartServer(journal.ServerConfig{
		Dir: c.Folder(name), Name: name,
		Cluster: &journal.ClusterConfig{ID: ca.Cluster(), Listen: c.free[len(c.free)-1].route, Core: c.core, TLS: route, Worker: true},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Form(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Leader is the node that leads a stream of the store, as a server that has joined
// hears it.
func (c *Cluster) Leader(ctx context.Context, s *journal.Server, stream string) (*Node, error) {
	st, err := s.JetStream().Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("leader of %s: %w", stream, err)
	}
	for _, n := range c.All {
		if info := st.CachedInfo().Cluster; info != nil && info.Leader == n.Name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s has no leader", stream)
}

// Owner is who has a shard.
type Owner struct {
	Node  string
	Epoch uint64
}

// Owners asks every node for its shards. It is an error if one is not served by
// exactly one.
func (c *Cluster) Owners(ctx context.Context) (map[int]Owner, error) {
	of := map[int]Owner{}
	for _, n := range c.Running() {
		st, err := n.API.Status(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range st.Shards {
			if other, twice := of[s.Shard]; twice {
				return nil, fmt.Errorf("shard %d is with %s and with %s", s.Shard, other.Node, n.Name)
			}
			of[s.Shard] = Owner{n.Name, s.Epoch}
		}
	}
	if len(of) != cloud.DefaultClusterShards {
		return nil, fmt.Errorf("%d of %d shards are served", len(of), cloud.DefaultClusterShards)
	}
	return of, nil
}

// Ready returns nil when every node says that it is ready.
func (c *Cluster) Ready(ctx context.Context) error {
	for _, n := range c.Running() {
		if _, err := proc.Get(ctx, n.URL()+"/readyz"); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends every node that runs, workers first: the shards of the last have
// nowhere to go.
func (c *Cluster) Stop() error {
	var err error
	for _, workers := range []bool{true, false} {
		errs := make(chan error)
		for _, n := range c.All {
			go func() {
				if n.Worker != workers || n.Process == nil {
					errs <- nil
					return
				}
				errs <- n.Stop()
			}()
		}
		for range c.All {
			err = errors.Join(err, <-errs)
		}
	}
	return err
}
