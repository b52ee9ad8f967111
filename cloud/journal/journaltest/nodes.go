package journaltest

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
)

// nodeStore is what each node of a test reserves at most.
const nodeStore = 1 << 30

// Nodes are a cluster's core nodes in this process, on loopback, each with a
// folder of its own.
type Nodes struct {
	t       testing.TB
	ca      *identity.CA
	Configs []journal.ServerConfig
	Servers []*journal.Server // nil where one is stopped
}

// StartNodes starts three core nodes and returns when they have formed a
// cluster, of which the first is the founder. They stop with the test.
func StartNodes(t testing.TB) *Nodes {
	t.Helper()
	n := NewNodes(t)
	n.StartAll()
	return n
}

// NewNodes configures three core nodes and starts none.
func NewNodes(t testing.TB) *Nodes {
	t.Helper()
	ca, err := identity.OpenCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := &Nodes{t: t, ca: ca, Servers: make([]*journal.Server, 3)}
	dir, core := t.TempDir(), FreeAddresses(3)
	for i, address := range core {
		name := fmt.Sprintf("n%d", i+1)
		tls, err := ca.RouteTLS(name)
		if err != nil {
			t.Fatal(err)
		}
		n.Configs = append(n.Configs, journal.ServerConfig{
			Dir: filepath.Join(dir, name), Name: name, MaxStore: nodeStore,
			Cluster: &journal.ClusterConfig{ID: ca.Cluster(), Listen: address, Core: core, TLS: tls, Founder: i == 0},
		})
	}
	t.Cleanup(n.StopAll)
	return n
}

// FreeAddresses returns loopback addresses on which nothing listens now. Their
// ports are below those that the kernel gives to whoever dials: one of these
// might be taken by a connection before the server listens.
func FreeAddresses(count int) []string {
	const first, end = 10_000, 32_000
	var free []string
	for len(free) < count {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(end-first)))
		if err != nil {
			continue // somebody listens there
		}
		defer l.Close()
		free = append(free, l.Addr().String())
	}
	return free
}

// StartAll starts the nodes that are stopped and waits until they have formed
// a cluster.
func (n *Nodes) StartAll() {
	n.t.Helper()
	for i := range n.Servers {
		n.Start(i)
	}
	for _, s := range n.Servers {
		if err := s.Form(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
	}
}

// Start starts one node, which need not find the others.
func (n *Nodes) Start(i int) *journal.Server {
	n.t.Helper()
	if n.Servers[i] != nil {
		return n.Servers[i]
	}
	s, err := journal.StartServer(n.Configs[i], slog.New(slog.DiscardHandler))
	if err != nil {
		n.t.Fatal(err)
	}
	n.Servers[i] = s
	return s
}

// StartWorker starts a worker and waits until it is of the cluster. It stops
// with the test.
func (n *Nodes) StartWorker(name string) *journal.Server {
	n.t.Helper()
	tls, err := n.ca.RouteTLS(name)
	if err != nil {
		n.t.Fatal(err)
	}
	s, err := journal.StartServer(journal.ServerConfig{Name: name, Cluster: &journal.ClusterConfig{
		ID: n.ca.Cluster(), Listen: FreeAddresses(1)[0], Core: n.Configs[0].Cluster.Core, TLS: tls, Worker: true,
	}}, slog.New(slog.DiscardHandler))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(s.Close)
	if err := s.Form(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// Stop stops one node and returns when its files are closed.
func (n *Nodes) Stop(i int) {
	if s := n.Servers[i]; s != nil {
		s.Close()
		n.Servers[i] = nil
	}
}

// StopAll stops every node, at once: one that is stopped last would wait for
// a majority that is gone.
func (n *Nodes) StopAll() {
	var wg sync.WaitGroup
	for i := range n.Servers {
		wg.Go(func() { n.Stop(i) })
	}
	wg.Wait()
}
