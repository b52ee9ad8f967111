package main

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
)

var name = id.Gateway{Site: site, Name: "gw-1"}

// admitAll is more handshakes a second than a gate can do: how many it admits is
// not what is measured.
const admitAll = 1e6

// cloud is a gate before a real journal, without the owners behind it.
type cloud struct {
	gate  *gate.Gate
	addr  string
	creds *tls.Config // of the gateway
	tap   *tap
	stop  func() error
}

func openCloud(ctx context.Context, dir string) (_ *cloud, err error) {
	ca, err := identity.OpenCA(filepath.Join(dir, "ca"))
	if err != nil {
		return nil, err
	}
	conf, err := ca.ServerTLS("n1", nil)
	if err != nil {
		return nil, err
	}
	certs := filepath.Join(dir, "certs")
	if _, err := ca.IssueGateway(name, certs, false); err != nil {
		return nil, err
	}
	creds, err := sharedid.Load(certs)
	if err != nil {
		return nil, err
	}
	c := &cloud{creds: creds.ClientTLS(nil)}
	store, err := journal.StartServer(journal.ServerConfig{Dir: filepath.Join(dir, "journal"), Name: "n1"}, discard())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close()
		}
	}()
	log, err := journal.OpenLog(ctx, store, 0, journal.LogConfig{MaxBytes: store.LogBytes(1)}, discard(), nil)
	if err != nil {
		return nil, err
	}
	if _, err := log.PublishBarrier(ctx, 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		return nil, err
	}
	coalescer := journal.NewCoalescer([]journal.Publisher{log}, journal.CoalescerConfig{}, discard(), nil)
	c.tap = &tap{Appender: coalescer, came: map[id.Command]time.Time{}}
	cfg := gate.Config{Cluster: ca.Cluster(), Node: "n1", TLS: conf, Identify: ca.GatewayOf, MaxHandshakes: admitAll}
	c.gate = gate.New(cfg, oneShard{}, c.tap, discard(), nil)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.addr = socket.LocalAddr().String()
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	transport := gate.Transport(socket, gate.Keys{})
	go func() { ended <- c.gate.Serve(serving, transport) }()
	c.stop = func() error {
		cancel()
		err := <-ended
		_ = transport.Close() // Serve has closed it, or has said why not
		_ = socket.Close()
		_ = coalescer.Close(serving) // given up: nobody reads the log
		store.Close()
		return err
	}
	return c, nil
}

// oneShard has every site.
type oneShard struct{}

func (oneShard) Assign(context.Context, id.Site) (int, error) { return 0, nil }

// tap notes what reaches the journal.
type tap struct {
	gate.Appender
	frames atomic.Int64 // bytes

	mu   sync.Mutex
	came map[id.Command]time.Time // results
}

func (t *tap) Append(shard int, key string, rec journal.Record, done func(uint64, error)) error {
	switch rec.Kind {
	case journal.KindFrame:
		t.frames.Add(int64(len(rec.Body)))
	case journal.KindResult:
		if r, err := wire.ParseResult(rec.Body); err == nil {
			t.mu.Lock()
			t.came[r.ID] = time.Now()
			t.mu.Unlock()
		}
	}
	return t.Appender.Append(shard, key, rec, done)
}

// result returns when the result of a command came.
func (t *tap) result(cmd id.Command) (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok = t.came[cmd]
	return at, ok
}
