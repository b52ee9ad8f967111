package main

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/simulator/link"
)

const (
	// The link is an uplink of 5 Mbit/s with 40 ms there and back, and a
	// router that keeps all that comes: the worst that a home's has.
	linkKbps  = 5000
	linkDelay = 20 * time.Millisecond
	// commandEvery is the pause between commands.
	commandEvery = 25 * time.Millisecond
	// settleIn is left out after the connection: QUIC's start.
	settleIn = 3 * time.Second
)

// measureCommands sends commands to a gateway that answers at once, first idle
// and then while it drains a backlog over a slow link.
func measureCommands(ctx context.Context, o options) (_ []figure, err error) {
	length := 30 * time.Second
	if o.short {
		length = 3 * time.Second
	}
	c, err := openCloud(ctx, o.dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	g, err := openGateway(ctx, o.dir, buffer.DefaultLinger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close(context.WithoutCancel(ctx))) }()
	relay, err := link.Open(ctx, link.Config{Listen: "127.0.0.1:0", To: c.addr}, discard(), nil)
	if err != nil {
		return nil, err
	}
	relay.Set(func(l *link.Conditions) { l.Kbps, l.Delay = linkKbps, linkDelay })
	relaying, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(relaying) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()

	const bytesPerSecond = linkKbps * 1000 / 8
	idle, _, err := c.command(ctx, g, relay.Addr().String(), length)
	if err != nil {
		return nil, err
	}
	if err := g.fill(ctx, int64((length+settleIn).Seconds()*bytesPerSecond*1.2)); err != nil {
		return nil, err
	}
	busy, rate, err := c.command(ctx, g, relay.Addr().String(), length)
	if err != nil {
		return nil, err
	}
	if g.buf.Stats().StoredBytes == 0 {
		return nil, errors.New("the backlog was drained before the end")
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return []figure{
		{Name: "idle p50", Value: ms(percentile(idle, 50)), Unit: "ms"},
		{Name: "idle p99", Value: ms(percentile(idle, 99)), Unit: "ms"},
		{Name: "draining p50", Value: ms(percentile(busy, 50)), Unit: "ms"},
		{Name: "draining p99", Value: ms(percentile(busy, 99)), Unit: "ms"},
		{Name: "draining / idle p99", Value: ms(percentile(busy, 99)) / ms(percentile(idle, 99)), Unit: "x", Aim: "<= 1.4"},
		{Name: "goodput", Value: rate / bytesPerSecond * 100, Unit: "% of the link", Aim: ">= 93"},
	}, nil
}

// command connects, sends commands for a time, and returns how long each took
// to its result, and how many bytes of frames a second came meanwhile.
func (c *cloud) command(ctx context.Context, g *gateway, addr string, length time.Duration) (took []time.Duration, rate float64, err error) {
	u := g.connect(addr, c.creds, newEcho())
	defer func() { err = errors.Join(err, g.disconnect()) }()
	if err := await(ctx, "the connection", func() (bool, error) { return u.Stats().Gate != "", nil }); err != nil {
		return nil, 0, err
	}
	if err := sleep(ctx, settleIn); err != nil {
		return nil, 0, err
	}
	sent := map[id.Command]time.Time{}
	begin, before := time.Now(), c.tap.frames.Load()
	for n := uint64(1); time.Since(begin) < length; n++ {
		m := wire.Command{Device: g.devices[0], Name: "set", Remaining: 60_000}
		binary.BigEndian.PutUint64(m.ID[:], uint64(begin.UnixNano()))
		binary.BigEndian.PutUint64(m.ID[8:], n)
		sent[m.ID] = time.Now()
		if err := c.gate.Command(name, m); err != nil {
			return nil, 0, err
		}
		if err := sleep(ctx, commandEvery); err != nil {
			return nil, 0, err
		}
	}
	rate = float64(c.tap.frames.Load()-before) / time.Since(begin).Seconds()
	for cmd, at := range sent {
		if err := await(ctx, "a result", func() (bool, error) {
			came, ok := c.tap.result(cmd)
			if ok {
				took = append(took, came.Sub(at))
			}
			return ok, nil
		}); err != nil {
			return nil, 0, err
		}
	}
	return took, rate, nil
}

func percentile(all []time.Duration, p int) time.Duration {
	s := slices.Sorted(slices.Values(all))
	return s[(len(s)-1)*p/100]
}

// echo does every command at once.
type echo struct {
	mu      sync.Mutex
	done    []wire.Result
	changed chan struct{}
}

func newEcho() *echo { return &echo{changed: make(chan struct{})} }

func (e *echo) Take(c wire.Command) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = append(e.done, wire.Result{ID: c.ID, State: wire.ResultDone})
	e.change()
}

func (e *echo) Unsettled() []wire.Result {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.done[:min(len(e.done), wire.MaxSettled)])
}

func (e *echo) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

func (e *echo) Settled(ids []id.Command) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = slices.DeleteFunc(e.done, func(r wire.Result) bool { return slices.Contains(ids, r.ID) })
	e.change()
}

func (e *echo) change() {
	close(e.changed)
	e.changed = make(chan struct{})
}
