// Package node composes a cloud node: it opens the stores, claims the shards,
// and connects the gate, the journal, the sites, history and the API. It
// decides nothing about readings; the parts do.
//
//	gateways ==QUIC==> gate -> coalescer -> journal -> shard owners -> history
//	                    ^ acks <- done <-'                  |            |
//	people   --HTTP--> api <- views <-----------------------+------------'
//
// Goroutines: the gate's, two flushers a shard, one owner a shard and those it
// reads ahead with, the catalog's watch, HTTP's, the embedded NATS server's,
// and Run's, which waits for the end. The first part that fails ends the node:
// its supervisor starts it again and it recovers from the journal.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/console"
	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/ops"
)

const (
	// CAFolder is the folder of the certificate authority within the data folder.
	CAFolder = "ca"
	// DefaultShards is enough for one node's cores and a first few nodes: a
	// shard's owner is one goroutine.
	DefaultShards = 4
	// openTimeout bounds the start: the embedded server is ready in
	// milliseconds on an empty store, a large store takes longer to read.
	openTimeout = 2 * time.Minute
	// stopTimeout bounds what a stop waits for: publishes in flight.
	stopTimeout = 10 * time.Second
)

// Config is what a node is told. Everything has a default but Data.
type Config struct {
	Data   string   // folder of everything that the node keeps
	Listen string   // address for gateways, UDP and TCP
	HTTP   string   // TCP address of the API, loopback
	Name   string   // of this node
	Zone   string   // its location label
	Hosts  []string // names under which gateways reach it, for its certificate
	Shards int      // fixed at the first start
}

// DefaultName is the host's name as far as the grammar of names allows.
func DefaultName() string {
	host, err := os.Hostname()
	if err != nil {
		return "node-1"
	}
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, host), "-")
	if name == "" || len(name) > 63 {
		return "node-1"
	}
	return name
}

// node is a running node.
type node struct {
	cfg   Config
	log   *slog.Logger
	reg   *prometheus.Registry
	start time.Time

	ca        *identity.CA
	tls       *tls.Config
	history   *history.Store
	server    *journal.Server
	catalog   *catalog.Catalog
	actors    *actor.ActorSystem
	shards    []*shard
	coalescer *journal.Coalescer
	gate      *gate.Gate
	socket    net.PacketConn
	tcp       net.Listener // on the socket's port
	http      net.Listener
}

// Run is a node from its start to its clean end: it returns nil when ctx ended.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	n := &node{cfg: cfg, log: log, reg: ops.NewRegistry(), start: time.Now()}
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err := n.open(opening)
	switch {
	case err == nil:
		err = n.serve(ctx)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		err = nil // it was stopped while it started
	}
	return errors.Join(err, n.release())
}

// listen takes the same port for UDP and TCP. With port 0 the system chooses
// one that is free for UDP, and perhaps not for TCP: then it chooses again.
func listen(address string) (udp net.PacketConn, tcp net.Listener, err error) {
	for range 10 {
		if udp, err = net.ListenPacket("udp", address); err != nil {
			return nil, nil, err
		}
		chosen := udp.LocalAddr().String()
		if tcp, err = net.Listen("tcp", chosen); err == nil {
			return udp, tcp, nil
		}
		udp.Close()
		if chosen == address {
			break
		}
	}
	return nil, nil, err
}

// open makes every part. History comes first: its lock keeps a second node out
// of the folder before anything is touched.
func (n *node) open(ctx context.Context) (err error) {
	if err := api.CheckListen(n.cfg.HTTP, false); err != nil {
		return err
	}
	if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if n.history, err = history.Open(history.Config{Dir: filepath.Join(n.cfg.Data, "history")}, n.log.With("part", "history"), n.reg); err != nil {
		return err
	}
	if n.ca, err = identity.OpenCA(filepath.Join(n.cfg.Data, CAFolder)); err != nil {
		return err
	}
	// It checks the node's name, under which the journal then writes.
	if n.tls, err = n.ca.ServerTLS(n.cfg.Name, n.cfg.Hosts); err != nil {
		return err
	}
	if n.socket, n.tcp, err = listen(n.cfg.Listen); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	if n.http, err = ops.Listen(ctx, n.cfg.HTTP); err != nil {
		return err
	}
	if n.server, err = journal.StartServer(journal.ServerConfig{Dir: filepath.Join(n.cfg.Data, "journal"), Name: n.cfg.Name}, n.log.With("part", "journal")); err != nil {
		return err
	}
	if err := n.openCatalog(ctx); err != nil {
		return err
	}
	n.actors = actor.NewActorSystem(actor.Config{Address: n.cfg.Name, ClusterName: n.ca.Cluster()}, n.log.With("part", "actors"), actor.WithMetrics(n.reg))
	return n.openShards(ctx)
}

func (n *node) openCatalog(ctx context.Context) error {
	kv, err := journal.OpenKV(ctx, n.server, catalog.Bucket)
	if err != nil {
		return err
	}
	n.catalog, err = catalog.Open(ctx, catalog.Config{ClusterID: n.ca.Cluster(), Shards: n.cfg.Shards, Zone: n.cfg.Zone}, kv, n.log.With("part", "catalog"), n.reg)
	return err
}

func (n *node) openShards(ctx context.Context) error {
	owners, err := journal.OpenKV(ctx, n.server, ownersBucket)
	if err != nil {
		return err
	}
	var logs []journal.Publisher
	for i := range n.catalog.Cluster().Shards {
		s, err := n.claim(ctx, owners, i)
		if err != nil {
			return err
		}
		n.shards = append(n.shards, s)
		logs = append(logs, s.log)
	}
	n.coalescer = journal.NewCoalescer(logs, journal.CoalescerConfig{}, n.log.With("part", "coalescer"), n.reg)
	n.gate = gate.New(gate.Config{Cluster: n.ca.Cluster(), Node: n.cfg.Name, TLS: n.tls, Identify: n.ca.GatewayOf}, n.catalog, n.coalescer, n.log.With("part", "gate"), n.reg)
	return nil
}

// serve runs the parts until ctx ends or one of them fails. They end against
// the direction of the data: the gate takes nothing more, what it took becomes
// durable, and only then do the owners stop.
func (n *node) serve(ctx context.Context) error {
	keys, err := n.keys()
	if err != nil {
		return err
	}
	g, failing := errgroup.WithContext(ctx)
	owners, stopOwners := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOwners()
	for _, s := range n.shards {
		g.Go(func() error { return s.owner.Run(owners) })
	}
	g.Go(func() error { return n.serveHTTP(failing) })
	g.Go(func() error {
		err := n.serveGateways(failing, keys)
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, n.coalescer.Close(stop))
		stopOwners()
		return err
	})
	n.log.Info("running", "cluster", n.ca.Cluster(), "node", n.cfg.Name, "shards", len(n.shards), "gateways", n.socket.LocalAddr().String(), "version", ops.Version())
	return g.Wait()
}

// keys are the gate's, which the cluster's CA holds.
func (n *node) keys() (keys gate.Keys, err error) {
	if keys.Reset, err = n.ca.ResetKey(); err != nil {
		return gate.Keys{}, err
	}
	keys.Token, err = n.ca.TokenKey()
	return keys, err
}

// serveGateways serves QUIC, and TLS over TCP on the same port, until ctx ends
// or one of them fails.
func (n *node) serveGateways(ctx context.Context, keys gate.Keys) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.gate.Serve(ctx, gate.Transport(n.socket, keys)) })
	g.Go(func() error { return n.gate.ServeTCP(ctx, n.tcp) })
	return g.Wait()
}

func (n *node) serveHTTP(ctx context.Context) error {
	mux := http.NewServeMux()
	ops.Handle(mux, n.reg, ops.Checks{
		Health: map[string]ops.Check{"journal": func() error { return n.server.Healthy(ctx) }},
		Ready:  map[string]ops.Check{"shards": n.allActive},
	})
	if err := console.Register(mux); err != nil {
		return err
	}
	api.Register(ctx, mux, ops.Version(), views{n}, n.history, n.catalog)
	n.log.Info("serving the API", "http", n.http.Addr().String())
	return ops.ServeOn(ctx, n.http, api.Handler(mux))
}

// allActive reports a shard that still recovers.
func (n *node) allActive() error {
	for _, s := range n.shards {
		select {
		case <-s.owner.Active():
		default:
			return fmt.Errorf("shard %d recovers", s.claim.Shard())
		}
	}
	return nil
}

// release closes what open made, whatever of it there is.
func (n *node) release() error {
	stop, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var err error
	if n.coalescer != nil {
		err = n.coalescer.Close(stop)
	}
	if n.actors != nil {
		err = errors.Join(err, n.actors.Stop(stop))
	}
	if n.catalog != nil {
		n.catalog.Close()
	}
	if n.server != nil {
		n.server.Close()
	}
	if n.socket != nil {
		err = errors.Join(err, n.socket.Close())
	}
	if n.tcp != nil {
		n.tcp.Close() // the gate has closed it, unless it never came to that
	}
	if n.http != nil {
		n.http.Close() // serveHTTP has closed it, unless it never came to that
	}
	if n.history != nil {
		err = errors.Join(err, n.history.Close())
	}
	return err
}
