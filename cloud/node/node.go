// Package node composes a cloud node: it opens the stores, takes its seats at
// the shards, and connects the gate, the journal, the sites, history and the
// API. It decides nothing about readings; the parts do.
//
//	gateways ==QUIC==> gate -> coalescer -> journal -> shard owners -> history
//	                    ^ acks <- done <-'                  |            |
//	people   --HTTP--> peer -> api <- views <---------------+------------'
//	                    '--HTTP/2--> the owner's node
//
// Alone it has every seat. In a cluster membership says who lives, placement who
// is to have which shard, and a gateway's frames go into the log of its shard by
// whatever node it is connected to.
//
// Goroutines: the gate's, two flushers a shard, one owner a shard that is held
// and those it reads ahead with, the seats', membership's, the watches of
// catalog and owners, the actors' and their transport's, HTTP's, the embedded
// NATS server's, and Run's, which waits for the end. A shard's work that fails
// is taken up again; any other part ends the node: its supervisor starts it
// again and it recovers from the journal.
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
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/membership"
	"github.com/atrium-iot/atrium/cloud/cluster/scaling"
	"github.com/atrium-iot/atrium/cloud/cluster/seat"
	"github.com/atrium-iot/atrium/cloud/cluster/transport"
	"github.com/atrium-iot/atrium/cloud/console"
	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/peer"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/ops"
)

const (
	// CAFolder is the folder of the certificate authority within the data folder.
	CAFolder = "ca"
	// journalFolder is the folder of the log and all other shared state in it.
	journalFolder = "journal"
	// DefaultShards is enough for one node's cores and a first few nodes: a
	// shard's owner is one goroutine.
	DefaultShards = 4
	// DefaultClusterShards are several for each of a first few nodes, so that
	// they can be shared evenly.
	DefaultClusterShards = 16
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
	Shards int      // fixed at the first start; 0 means the default, or what is there
	// Cluster makes it one of several. Nil: it is alone.
	Cluster *ClusterConfig
	// Scaling says when to advise more nodes or fewer; zero means scaling.Default.
	Scaling scaling.Rules
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
	bus       *journal.Bus
	catalog   *catalog.Catalog
	transport *transport.Transport
	actors    *actor.ActorSystem
	summaries actor.Type[question] // of sites
	logs      []*journal.Log       // by shard
	objects   []*journal.Objects
	parts     []*journal.Objects // of history; none alone
	documents *journal.KV        // of the shards: shard.<s>
	owners    *cluster.Owners
	members   *membership.Membership
	seats     *seat.Seats
	load      meter
	advisor   *advisor
	strain    *strain
	leaving   atomic.Bool // it gives its shards away to stop
	coalescer *journal.Coalescer
	gate      *gate.Gate
	peer      *peer.Peer
	socket    net.PacketConn
	tcp       net.Listener // on the socket's port
	http      net.Listener
	others    net.Listener // of the other nodes; nil alone
}

// Run is a node from its start to its clean end: it returns nil when ctx ended.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	n := &node{cfg: cfg, log: log, reg: ops.NewRegistry(), start: time.Now()}
	err := n.open(ctx)
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
// of the folder before anything is touched. A worker's, of which the catalog says
// whether it is of the past, comes behind that.
func (n *node) open(ctx context.Context) (err error) {
	if err := api.CheckListen(n.cfg.HTTP, false); err != nil {
		return err
	}
	if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if !n.isWorker() {
		if err := n.openHistory(); err != nil {
			return err
		}
	}
	if n.ca, err = n.openCA(); err != nil {
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
	if err := n.startServer(ctx); err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := n.openCatalog(opening); err != nil {
		return err
	}
	if n.isWorker() {
		if err := errors.Join(n.renew(n.catalog.Cluster().Incarnation), n.openHistory()); err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	if err := n.openActors(); err != nil {
		return err
	}
	if err := n.openShards(opening); err != nil {
		return err
	}
	return n.joinCluster(opening)
}

// startServer starts the embedded server and returns when the cluster's store is
// there: alone at once.
func (n *node) startServer(ctx context.Context) error {
	cfg, err := n.serverConfig()
	if err != nil {
		return err
	}
	if n.server, err = journal.StartServer(cfg, n.log.With("part", "journal")); err != nil {
		return err
	}
	n.bus = n.server.Bus(n.reg)
	if n.cfg.Cluster == nil {
		return nil
	}
	return n.form(ctx)
}

func (n *node) openCatalog(ctx context.Context) error {
	kv, err := journal.OpenKV(ctx, n.server, catalog.Bucket)
	if err != nil {
		return err
	}
	restored, err := isRestored(n.cfg.Data)
	if err != nil {
		return err
	}
	n.catalog, err = catalog.Open(ctx, catalog.Config{
		ClusterID: n.ca.Cluster(), Shards: n.shards(), AnyShards: n.cfg.Shards == 0, Zone: n.cfg.Zone, Restored: restored,
	}, kv, n.log.With("part", "catalog"), n.reg)
	if err != nil || !restored {
		return err
	}
	return unmark(n.cfg.Data)
}

// shards is how many a new cluster is to have.
func (n *node) shards() int {
	switch {
	case n.cfg.Shards != 0:
		return n.cfg.Shards
	case n.cfg.Cluster != nil:
		return DefaultClusterShards
	}
	return DefaultShards
}

// serve runs the parts until ctx ends or one of them fails. They end against
// the direction of the data: in a cluster the shards go to others first, then
// the gate takes nothing more, what it took becomes durable, and only then do
// the owners stop.
func (n *node) serve(ctx context.Context) error {
	keys, err := n.keys()
	if err != nil {
		return err
	}
	ctx, end := n.departure(ctx)
	defer end()
	g, failing := errgroup.WithContext(ctx)
	behind, stopBehind := context.WithCancel(context.WithoutCancel(ctx)) // what ends after the gate
	defer stopBehind()
	g.Go(func() error { return n.contemporary(failing) })
	g.Go(func() error { return n.seats.Run(behind) })
	g.Go(func() error { return n.members.Run(behind) })
	g.Go(func() error { return n.transport.Serve(behind, n.actors.Engine()) })
	g.Go(func() error { n.measure(behind); return nil })
	g.Go(func() error { n.guide(failing); return nil })
	g.Go(func() error { n.advise(behind); return nil })
	g.Go(func() error { return n.serveHTTP(failing) })
	g.Go(func() error {
		err := n.serveGateways(failing, keys)
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, n.coalescer.Close(stop))
		stopBehind()
		return err
	})
	n.log.Info("running", "cluster", n.ca.Cluster(), "node", n.cfg.Name, "shards", n.catalog.Cluster().Shards, "gateways", n.socket.LocalAddr().String(), "version", ops.Version())
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
	switch err := n.fenced(ctx); {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.gate.Serve(ctx, gate.Transport(n.socket, keys)) })
	g.Go(func() error { return n.gate.ServeTCP(ctx, n.tcp) })
	return g.Wait()
}

// serveHTTP serves people, and in a cluster the other nodes.
func (n *node) serveHTTP(ctx context.Context) error {
	mux := http.NewServeMux()
	ops.Handle(mux, n.reg, ops.Checks{
		Health: map[string]ops.Check{"journal": func() error { return n.server.Healthy(ctx) }},
		Ready:  map[string]ops.Check{"shards": n.seats.Ready, "majority": n.majority, "overload": n.strain.ready},
	})
	if err := console.Register(mux); err != nil {
		return err
	}
	api.Register(ctx, mux, ops.Version(), views{n}, n.history, n.catalog)
	local := api.Marked(n.majority, api.Handler(mux))
	n.log.Info("serving the API", "http", n.http.Addr().String())
	g, ctx := errgroup.WithContext(ctx)
	if n.others != nil {
		g.Go(func() error { return n.peer.Serve(ctx, n.others, local) })
	}
	g.Go(func() error { return ops.ServeOn(ctx, n.http, n.peer.Handler(local)) })
	return g.Wait()
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
	if n.owners != nil {
		n.owners.Close()
	}
	if n.catalog != nil {
		n.catalog.Close()
	}
	if n.peer != nil {
		n.peer.Close()
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
	if n.others != nil {
		n.others.Close() // likewise
	}
	if n.history != nil {
		err = errors.Join(err, n.history.Close())
	}
	return err
}
