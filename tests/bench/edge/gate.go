package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	// dialsAtOnce are enough that the gate never waits for a client.
	dialsAtOnce = 16
	// gateSettle is how long connections are left alone before the memory is
	// read: one keep-alive of each. What the runtime has not given back by then
	// it keeps.
	gateSettle = 45 * time.Second
)

// measureGate brings idle gateways to a gate that is a process of its own. They
// are real uplinks on one socket, in this process.
func measureGate(ctx context.Context, o options) (_ []figure, err error) {
	idle, shakes, settle := 10_000, 4000, gateSettle
	if o.short {
		idle, shakes, settle = 50, 50, time.Second
	}
	s, err := startServer(ctx, filepath.Join(o.dir, "gate"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	transport := uplink.Transport(socket)
	defer transport.Close()

	if _, err := s.shake(ctx, transport, shakes/10); err != nil { // its first heap
		return nil, err
	}
	shaking, err := s.shake(ctx, transport, shakes)
	if err != nil {
		return nil, err
	}
	before, err := proc.MemoryOf(s.pid())
	if err != nil {
		return nil, err
	}
	running, hangUp := context.WithCancel(ctx)
	defer hangUp()
	connecting, err := s.connect(ctx, running, transport, idle)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, settle); err != nil {
		return nil, err
	}
	after, err := proc.MemoryOf(s.pid())
	if err != nil {
		return nil, err
	}
	each := func(grown int64) float64 { return float64(grown) / float64(idle) / 1024 }
	return []figure{
		{Name: "mTLS handshakes", Value: float64(shakes) / shaking.Seconds(), Unit: "/s/core", Aim: ">= 700"},
		{Name: "gateways connected, idle", Value: float64(idle), Unit: ""},
		{Name: "connected and welcomed", Value: float64(idle) / connecting.Seconds(), Unit: "/s/core"},
		{Name: "RSS an idle gateway", Value: each(after.RSS - before.RSS), Unit: "KiB", Aim: "<= 90"},
		{Name: "RSS of all", Value: float64(after.RSS) / 1e6, Unit: "MB"},
		{Name: "RSS without any", Value: float64(before.RSS) / 1e6, Unit: "MB"},
	}, nil
}

// took returns the gate's processor time for what n workers do at a time.
func (s *server) took(n int, do func(i int) error) (time.Duration, error) {
	before, err := proc.CPUOf(s.pid())
	if err != nil {
		return 0, err
	}
	var workers errgroup.Group
	workers.SetLimit(dialsAtOnce)
	for i := range n {
		workers.Go(func() error { return do(i) })
	}
	if err := workers.Wait(); err != nil {
		return 0, err
	}
	after, err := proc.CPUOf(s.pid())
	return after - before, err
}

// shake dials and hangs up again, with full handshakes: neither side keeps a
// session of TLS.
func (s *server) shake(ctx context.Context, transport *quic.Transport, n int) (time.Duration, error) {
	creds, err := credentials(s.ca, name)
	if err != nil {
		return 0, err
	}
	to, err := net.ResolveUDPAddr("udp", s.addr)
	if err != nil {
		return 0, err
	}
	return s.took(n, func(int) error {
		conn, err := transport.Dial(ctx, to, creds, &quic.Config{})
		if err != nil {
			return err
		}
		<-conn.HandshakeComplete()
		return conn.CloseWithError(quic.ApplicationErrorCode(wire.CloseShutdown), "")
	})
}

// connect runs that many gateways until running ends, and returns once all are
// welcomed.
func (s *server) connect(ctx, running context.Context, transport *quic.Transport, n int) (time.Duration, error) {
	identities := make([]*tls.Config, n)
	for i := range identities {
		var err error
		if identities[i], err = credentials(s.ca, id.Gateway{Site: id.Site(fmt.Sprintf("s%d", i)), Name: "gw"}); err != nil {
			return 0, err
		}
	}
	return s.took(n, func(i int) error {
		u := uplink.New(uplink.Config{Cloud: []string{s.addr}, TLS: identities[i], Agent: "bench"}, idleSource(i+1), transport, slog.New(slog.DiscardHandler), nil)
		go u.Run(running) //nolint:errcheck // it ends as it is told
		return await(ctx, "a welcome", func() (bool, error) { return u.Stats().Gate != "", nil })
	})
}

func credentials(ca *identity.CA, gw id.Gateway) (*tls.Config, error) {
	issued, err := ca.Gateway(gw)
	if err != nil {
		return nil, err
	}
	c, err := sharedid.Parsed(issued.Cert, issued.Key, issued.CA)
	if err != nil {
		return nil, err
	}
	return c.ClientTLS(nil), nil
}

// idleSource is the buffer of a gateway that has nothing to send: an open run
// without a frame. Its number sets it apart.
type idleSource uint64

func (n idleSource) Connect() (buffer.Session, error) {
	var board [16]byte
	binary.BigEndian.PutUint64(board[:], uint64(n))
	run := id.Run(board[:8])
	return buffer.Session{
		Hello: wire.Hello{
			Board: board, Interval: 1000, Boots: []id.Boot{board},
			Runs: []wire.RunInfo{{Run: run, Class: wire.Telemetry, First: 1, State: wire.RunOpen}},
		},
		Live: []id.Run{run},
	}, nil
}

func (idleSource) Welcomed(buffer.Session)                        {}
func (idleSource) Disconnect()                                    {}
func (idleSource) Resume()                                        {}
func (idleSource) Ack(id.Run, uint64)                             {}
func (idleSource) Reject(id.Run, uint64, wire.RejectReason) error { return buffer.ErrNotAFrame }
func (idleSource) Cursor(id.Run) uplink.Cursor                    { return idleCursor{} }

type idleCursor struct{}

func (idleCursor) Next(ctx context.Context) (buffer.Item, error) {
	<-ctx.Done()
	return buffer.Item{}, ctx.Err()
}

func (idleCursor) Rewind(uint64, bool) {}
