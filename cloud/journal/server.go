package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/shared/durable"
)

const (
	// storePercent of the free disk is the store's: a full disk freezes every
	// stream until a restart, so the rest stays free.
	storePercent = 70
	// maxStore bounds the store on a large disk, so that a start on an empty
	// one does not reserve terabytes for streams that are purged at once.
	maxStore = 64 << 30
	// minStore is the least with which a server starts: below it the streams'
	// reservations leave no room to write.
	minStore = 256 << 20
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
)

// ServerConfig says where and as whom the embedded server runs.
type ServerConfig struct {
	Dir  string // holds the store; made if it is missing
	Name string // of this node, unique in the cluster
	// MaxStore bounds the store in bytes. Zero means what the store was made
	// with; a new one gets 70 % of what is free on Dir's disk, at most 64 GiB.
	MaxStore int64
}

// Server is the NATS JetStream server within this process, and a connection to
// it. It listens on no socket.
type Server struct {
	lock  *os.File // held while the directory is ours
	ns    *server.Server
	nc    *nats.Conn
	js    jetstream.JetStream
	store int64
}

// StartServer starts the server and returns when it accepts publishes. It
// fails if the store cannot be written, or if the running server does not
// fsync every message (I2).
func StartServer(cfg ServerConfig, log *slog.Logger) (*Server, error) {
	s, err := startServer(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("journal: start server: %w", err)
	}
	return s, nil
}

func startServer(cfg ServerConfig, log *slog.Logger) (*Server, error) {
	if cfg.Name == "" || cfg.Dir == "" {
		return nil, errors.New("a name and a directory are required")
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock}
	if err := s.start(cfg, log); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(cfg ServerConfig, log *slog.Logger) (err error) {
	if s.store, err = storeLimit(cfg); err != nil {
		return err
	}
	if s.ns, err = server.NewServer(options(cfg, s.store)); err != nil {
		return err
	}
	s.ns.SetLoggerV2(natsLog{log.With("component", "nats")}, false, false, false)
	s.ns.Start()
	return s.connect(log)
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
	return &server.Options{
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
}

func (s *Server) connect(log *slog.Logger) error {
	if !s.ns.ReadyForConnections(readyWithin) {
		return fmt.Errorf("not ready within %v", readyWithin)
	}
	if err := assertSyncAlways(s.ns); err != nil {
		return err
	}
	nc, err := nats.Connect("", nats.InProcessServer(s.ns), nats.MaxReconnects(-1), nats.Name("atrium"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("journal connection", "err", err)
		}))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s.nc = nc
	s.js, err = jetstream.New(nc)
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

// storeLimit is what the store may take of the disk. It is decided when the
// store is made and kept beside it: the streams reserve their shares of it, and
// would not fit a limit that shrinks as the disk fills.
func storeLimit(cfg ServerConfig) (int64, error) {
	path := filepath.Join(cfg.Dir, "limit")
	made, err := readLimit(path)
	if err != nil {
		return 0, err
	}
	limit := cfg.MaxStore
	switch {
	case limit == 0 && made != 0:
		return made, nil
	case limit == 0:
		if limit, err = measure(cfg.Dir); err != nil {
			return 0, err
		}
	case limit < minStore:
		return 0, fmt.Errorf("store of %d bytes, want at least %d", limit, int64(minStore))
	case limit < made:
		return 0, fmt.Errorf("store of %d bytes: it was made with %d and cannot shrink", limit, made)
	}
	if limit == made {
		return made, nil
	}
	// Before the first stream is there: without it the next start would measure
	// a disk on which the streams no longer fit.
	return limit, durable.WriteFile(path, []byte(strconv.FormatInt(limit, 10)), 0o644)
}

func readLimit(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n < minStore {
		return 0, fmt.Errorf("%s holds %q, want a number of bytes of at least %d", path, b, int64(minStore))
	}
	return n, nil
}

func measure(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	limit := min(free/100*storePercent, maxStore)
	if limit < minStore {
		return 0, fmt.Errorf("disk of %s has %d MiB free: too few, %d MiB are needed", dir, free>>20, minStore*100/storePercent>>20)
	}
	return limit, nil
}

// JetStream returns the connection that OpenLog, OpenObjects and OpenKV take.
func (s *Server) JetStream() jetstream.JetStream { return s.js }

// LogBytes is each log's share of the store in bytes, of so many shards: three
// quarters of the store are the logs'.
func (s *Server) LogBytes(shards int) int64 { return s.store / 4 * 3 / int64(shards) }

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
	if s.nc != nil {
		s.nc.Close()
	}
	if s.ns != nil {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
	}
	s.lock.Close() //nolint:errcheck // nothing was written to it
}

// natsLog hands the server's notices to slog: warnings and worse at their
// level, the rest as debug. It implements server.Logger.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l natsLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
