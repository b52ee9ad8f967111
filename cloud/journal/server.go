package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"
)

const (
	// maxStoreMemory bounds memory streams, of which there are none.
	maxStoreMemory = 64 << 20
	// maxPayload bounds one NATS message: MaxMessage and headers, with room
	// for what a newer version may send.
	maxPayload = 8 << 20
	// syncInterval matters only for what SyncAlways does not write at once.
	syncInterval = 2 * time.Minute
	// readyWithin bounds the start: an empty store takes 10 ms, one with many
	// blocks seconds.
	readyWithin = 60 * time.Second
	// readyPoll is how often a start looks whether it has failed.
	readyPoll = 100 * time.Millisecond
)

// ServerConfig says where and as whom the embedded server runs.
type ServerConfig struct {
	Dir  string // holds the store; made if it is missing
	Name string // of this node, unique in the cluster
	// MaxStore bounds the store in bytes. Zero means what the store was made
	// with; a new one gets 70 % of what is free on Dir's disk, at most 64 GiB.
	MaxStore int64
	// Cluster makes the server one of several. Nil means alone, without a socket.
	Cluster *ClusterConfig
}

// Server is the NATS JetStream server within this process, and a connection to
// it. Alone it listens on no socket; in a cluster for other nodes' servers only.
type Server struct {
	cfg   ServerConfig
	log   *slog.Logger
	lock  *os.File // held while the directory is ours
	ns    *server.Server
	fatal chan string // why the server could not start
	nc    *nats.Conn
	js    jetstream.JetStream
	bus   *Bus
	store int64 // bytes; 0 of a worker
}

// StartServer starts the server and returns when it accepts connections: alone
// also publishes, in a cluster when Form has returned. It fails if the store
// cannot be written, or if the running server does not fsync every message (I2).
func StartServer(cfg ServerConfig, log *slog.Logger) (*Server, error) {
	s, err := startServer(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("journal: start server: %w", err)
	}
	return s, nil
}

func startServer(cfg ServerConfig, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, log: log, fatal: make(chan string, 1)}
	if cfg.Name == "" || cfg.Dir == "" && !s.worker() {
		return nil, errors.New("a name and a directory are required")
	}
	if cfg.Cluster != nil {
		if err := cfg.Cluster.check(); err != nil {
			return nil, err
		}
	}
	if err := s.start(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) worker() bool { return s.cfg.Cluster != nil && s.cfg.Cluster.Worker }

func (s *Server) start() (err error) {
	if !s.worker() {
		if s.lock, err = lockDir(s.cfg.Dir); err != nil {
			return err
		}
		if err := checkStore(s.cfg); err != nil {
			return err
		}
		if s.store, err = storeLimit(s.cfg); err != nil {
			return err
		}
	}
	if s.ns, err = server.NewServer(options(s.cfg, s.store)); err != nil {
		return err
	}
	s.ns.SetLoggerV2(natsLog{s.log.With("component", "nats"), s.fatal}, false, false, false)
	s.ns.Start()
	if err := s.ready(); err != nil {
		return err
	}
	return s.connect()
}

// lockDir makes the directory and keeps a second process out of it: without a
// listener there is no port in use that would. The file's lock ends with the
// process, whatever ends it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("directory %s is in use by another process", dir)
	}
	return f, nil
}

func options(cfg ServerConfig, store int64) *server.Options {
	o := &server.Options{
		ServerName:         cfg.Name,
		DontListen:         true,
		JetStream:          true,
		StoreDir:           cfg.Dir,
		SyncAlways:         true,
		SyncInterval:       syncInterval,
		JetStreamMaxStore:  store,
		JetStreamMaxMemory: maxStoreMemory,
		MaxPayload:         maxPayload,
		NoSigs:             true,
	}
	if cfg.Cluster != nil {
		cfg.Cluster.apply(o)
	}
	return o
}

// ready waits for the server, which says only in its log why it cannot start.
func (s *Server) ready() error {
	for start := time.Now(); time.Since(start) < readyWithin; {
		if s.ns.ReadyForConnections(readyPoll) {
			return nil
		}
		select {
		case why := <-s.fatal:
			return errors.New(why)
		default:
		}
	}
	return fmt.Errorf("not ready within %v", readyWithin)
}

func (s *Server) connect() (err error) {
	if !s.worker() {
		if err := assertSyncAlways(s.ns); err != nil {
			return err
		}
	}
	s.nc, err = nats.Connect("", nats.InProcessServer(s.ns), nats.MaxReconnects(-1), nats.Name("atrium"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Warn("journal connection", "err", err)
		}))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if s.bus, err = newBus(s.ns, s.log); err != nil {
		return err
	}
	s.js, err = jetstream.New(s.nc)
	return err
}

// assertSyncAlways reads what the running server does, not what it was asked.
func assertSyncAlways(ns *server.Server) error {
	v, err := ns.Varz(nil)
	if err != nil {
		return fmt.Errorf("read the server's variables: %w", err)
	}
	c := v.JetStream.Config
	if c == nil {
		return errors.New("JetStream is not running: see the log")
	}
	if !c.SyncAlways {
		return errors.New("the running server does not fsync every message (sync_always is off): acks would not be durable")
	}
	return nil
}

// JetStream returns the connection itself, for what this package does not offer.
func (s *Server) JetStream() jetstream.JetStream { return s.js }

// Replicas is how many nodes hold each stream: one alone, three in a cluster.
// A publish is answered when a majority has fsynced it.
func (s *Server) Replicas() int {
	if s.cfg.Cluster == nil {
		return 1
	}
	return copies
}

// LogBytes is each log's share of this node's store in bytes, of so many
// shards: three quarters of the store are the logs', in a cluster one half.
// Each replica takes it. A worker has no store, so that it makes no log, and
// opens what core nodes made.
func (s *Server) LogBytes(shards int) int64 {
	return s.store/4*3/int64(shards) - s.HistoryBytes(shards)
}

// HistoryBytes is each shard's share for what its history is made of: in a
// cluster a quarter of the store. Alone there is none, as no shard ever moves.
func (s *Server) HistoryBytes(shards int) int64 {
	if s.cfg.Cluster == nil {
		return 0
	}
	return s.store / 4 / int64(shards)
}

// ObjectBytes is each shard's share for snapshots: an eighth of the store. The
// last eighth is for the key-value buckets and what purging has not freed yet.
func (s *Server) ObjectBytes(shards int) int64 { return s.store / 8 / int64(shards) }

// Healthy returns an error that names what is wrong with the server or one of
// its streams, for a readiness probe.
func (s *Server) Healthy(context.Context) error {
	h := s.ns.Healthz(&server.HealthzOptions{Details: true})
	if h.Status == "ok" {
		return nil
	}
	return fmt.Errorf("journal: unhealthy: %s %s %v", h.Status, h.Error, h.Errors)
}

// Close disconnects, stops the server and returns when its files are closed.
func (s *Server) Close() {
	if s.bus != nil {
		s.bus.nc.Close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	if s.ns != nil {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
	}
	if s.lock != nil {
		s.lock.Close() //nolint:errcheck // nothing was written to it
	}
}

// natsLog hands the server's notices to slog: warnings and worse at their
// level, the rest as debug, and keeps the first reason not to start. It
// implements server.Logger.
type natsLog struct {
	log   *slog.Logger
	fatal chan<- string
}

func (l natsLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }

func (l natsLog) Fatalf(format string, v ...any) {
	why := fmt.Sprintf(format, v...)
	l.log.Error(why)
	select {
	case l.fatal <- why:
	default:
	}
}
