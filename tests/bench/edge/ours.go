package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/simulator/link"
	"github.com/atrium-iot/atrium/tests/bench/workload"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	// cycle is the rows of a device that are generated; they are sent again and
	// again, with times that go on.
	cycle = 10_000
	// liveWindow and backlogWindow are how many readings may wait for their ack:
	// 200 live frames, and some megabytes of large ones.
	liveWindow, backlogWindow = 20_000, 8_000_000
	// liveLinger is the least that cuts frames by itself. It bounds the rate of
	// live frames: some hundreds a second.
	liveLinger = time.Millisecond
)

// moveLive sends a frame of each second of the gateway, as sampling at 1 Hz
// does; moveBacklog lets frames grow as they do while there is more to send than
// the link takes.
func moveLive(ctx context.Context, o options, dir string) (moved, error) {
	return move(ctx, o, dir, 1, liveWindow)
}

func moveBacklog(ctx context.Context, o options, dir string) (moved, error) {
	return move(ctx, o, dir, 100, backlogWindow)
}

// move runs a gateway in this process against a gate of its own. What goes over
// UDP is counted first, by a relay, and not while the rest is measured.
func move(ctx context.Context, o options, dir string, burst int, window uint64) (_ moved, err error) {
	s, err := startServer(ctx, filepath.Join(dir, "server"))
	if err != nil {
		return moved{}, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	rows := workload.Gateway(cycle)
	linger := buffer.DefaultLinger
	if burst == 1 {
		linger = liveLinger
	}
	g, err := openGateway(ctx, dir, linger)
	if err != nil {
		return moved{}, err
	}
	defer func() { err = errors.Join(err, g.close(context.WithoutCancel(ctx))) }()

	relay, err := link.Open(ctx, link.Config{Listen: "127.0.0.1:0", To: s.addr}, discard(), nil)
	if err != nil {
		return moved{}, err
	}
	relaying, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(relaying) }()
	counted, err := g.run(ctx, s, relay.Addr().String(), rows, burst, window, o.peerLength()/5)
	up := relay.State().Up.Bytes
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return moved{}, err
	}
	m, err := g.run(ctx, s, s.addr, rows, burst, window, o.peerLength())
	m.Wire = int64(float64(up) / float64(counted.Readings) * float64(m.Readings))
	return m, err
}

// run connects, appends rows for a time, and waits until all of them are acked.
func (g *gateway) run(ctx context.Context, s *server, addr string, rows []workload.Series, burst int, window uint64, length time.Duration) (m moved, err error) {
	creds, err := credentials(s.ca, name)
	if err != nil {
		return m, err
	}
	u := g.connect(addr, creds, nil)
	defer func() { err = errors.Join(err, g.disconnect()) }()
	if err := await(ctx, "the connection", func() (bool, error) { return u.Stats().Gate != "", nil }); err != nil {
		return m, err
	}
	client, err1 := proc.CPUOf(os.Getpid())
	server, err2 := proc.CPUOf(s.pid())
	if err := errors.Join(err1, err2); err != nil {
		return m, err
	}
	before, begin := g.buf.Stats(), time.Now()
	v := make([]int64, workload.Points)
	for time.Since(begin) < length {
		if now := g.buf.Stats(); now.Sampled-now.Acked > window {
			if err := sleep(ctx, time.Millisecond); err != nil {
				return m, err
			}
			continue
		}
		for range burst {
			if err := g.second(rows, v); err != nil {
				return m, err
			}
		}
		if burst == 1 { // the frame is cut
			if err := sleep(ctx, liveLinger); err != nil {
				return m, err
			}
		}
	}
	if err := await(ctx, "the last ack", func() (bool, error) { s := g.buf.Stats(); return s.Sampled == s.Acked, nil }); err != nil {
		return m, err
	}
	clientAfter, err1 := proc.CPUOf(os.Getpid())
	serverAfter, err2 := proc.CPUOf(s.pid())
	after := g.buf.Stats()
	m = moved{
		Readings: int64(after.Acked - before.Acked), Seconds: time.Since(begin).Seconds(),
		ClientCPU: (clientAfter - client).Seconds(), ServerCPU: (serverAfter - server).Seconds(),
	}
	return m, errors.Join(err1, err2)
}

// second appends one row of each device.
func (g *gateway) second(rows []workload.Series, v []int64) error {
	i, lap := g.next%cycle, g.next/cycle
	g.next++
	for d, s := range g.series {
		r := &rows[d].Rows
		for p := range v {
			v[p] = r.V[p][i]
		}
		if err := s.Append(r.T[i]+lap*cycle*int64(rows[d].Grid), 0, v, 0); err != nil {
			return err
		}
	}
	return nil
}
