package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// generator is a gateway without sensors: the real buffer on the real store
// and the real uplink.
type generator struct {
	load   loadCase
	buf    *buffer.Buffer
	uplink *uplink.Uplink
	socket net.PacketConn
	series []*buffer.Series
	rows   []workload.Series
	next   int // row
}

// newGenerator makes the n-th gateway of a site; the caller closes what it
// returns, also after an error.
func newGenerator(ctx context.Context, l *line.Line, dir string, c loadCase, n int, reg prometheus.Registerer) (*generator, error) {
	g := &generator{load: c, rows: workload.Gateway(cycle)}
	name := fmt.Sprintf("gw-%d", n)
	if err := g.openBuffer(ctx, filepath.Join(dir, name, "state"), n); err != nil {
		return g, err
	}
	devices := make([]id.Device, workload.Devices)
	for i := range devices {
		devices[i] = workload.Device(site, (n-1)*workload.Devices+i)
		s, err := g.buf.Series(devices[i], workload.Body(), [32]byte{1}, g.rows[i].Grid)
		if err != nil {
			return g, err
		}
		g.series = append(g.series, s)
	}
	certs := filepath.Join(dir, name, "certs")
	if err := l.Issue(ctx, site+"/"+name, certs); err != nil {
		return g, err
	}
	creds, err := identity.Load(certs)
	if err != nil {
		return g, err
	}
	if g.socket, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return g, err
	}
	errorsOnly := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	g.uplink = uplink.New(uplink.Config{Cloud: []string{l.Gate}, TLS: creds.ClientTLS(nil), Agent: "bench"},
		uplink.FromBuffer(g.buf), uplink.Transport(g.socket), errorsOnly, reg)
	g.uplink.SetDevices(devices)
	return g, nil
}

func (g *generator) openBuffer(ctx context.Context, state string, n int) error {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := buffer.OpenBadger(state, log)
	if err != nil {
		return err
	}
	cfg := buffer.Config{Mode: g.load.mode, Boot: id.Boot{byte(n)}, Board: id.Board{byte(n)}}
	if g.load.live {
		cfg.Linger = linger
	}
	start := time.Now()
	cfg.Now = func() time.Duration { return uptime + time.Since(start) }
	if g.buf, err = buffer.Open(ctx, cfg, store, log, nil); err != nil {
		return errors.Join(err, store.Close())
	}
	g.buf.SetClock(start.Add(-uptime).UnixMicro(), 1, wire.ClockSystem)
	return nil
}

func (g *generator) close(ctx context.Context) error {
	var err error
	if g.buf != nil {
		err = g.buf.Close(ctx)
	}
	if g.socket != nil {
		err = errors.Join(err, g.socket.Close())
	}
	return err
}

// run appends seconds of all devices whenever the window has room, until ctx
// ends.
func (g *generator) run(ctx context.Context) error {
	burst, room := 100, uint64(window)
	if g.load.live {
		burst, room = 1, liveWindow
	}
	v := make([]int64, workload.Points)
	for ctx.Err() == nil {
		s := g.buf.Stats()
		full := s.Sampled-s.Acked > room
		for range burst {
			if full {
				break
			}
			if err := g.second(v); err != nil {
				return err
			}
		}
		if full || g.load.live {
			//nolint:errcheck // the loop looks at ctx
			sleep(ctx, lookEvery)
		}
	}
	return nil
}

// second appends one row of each device.
func (g *generator) second(v []int64) error {
	lap := int64(g.next / cycle)
	i := g.next % cycle
	g.next++
	for d, s := range g.series {
		rows := &g.rows[d].Rows
		for p := range v {
			v[p] = rows.V[p][i]
		}
		if err := s.Append(rows.T[i]+lap*cycle*int64(g.rows[d].Grid), 0, v, 0); err != nil {
			return err
		}
	}
	return nil
}
