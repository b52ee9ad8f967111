// Package agent composes a gateway: it opens what edge.yaml names, starts the
// parts in the order of the data and stops them in the same order, so that what
// was sampled is committed before the process ends. It decides nothing about
// readings; the parts do.
//
//	bus owners <- device actors -> buffer -> uplink ==QUIC==> gate
//	                   ^              ^  '-- acks --< |
//	                   |  clock keeper'               |
//	                   '--------- commands <----------'
//
// A start that cannot work fails with one line: a wrong configuration or
// identity, a state folder in use, a port in use, a /dev/i2c-N that is not
// there. What may come by itself is waited for: the cloud, a device, a board
// process.
//
// Goroutines: two an owner of a bus, the device dispatcher's workers, the
// sampler's schedule, the buffer's cutter and committer, the uplink's, one that
// looks at the clock, the commands', one that serves HTTP, and Run's, which waits
// for SIGHUP and the end. None is a device's.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/command"
	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/ops"
)

// stopTimeout bounds each step of a stop beside the drain: reads in flight (a
// bus's deadline is 1 s), the last commit, the rest. systemd's default for all
// of it is 90 s.
const stopTimeout = 15 * time.Second

// agent is a running gateway.
type agent struct {
	cfg      *Config
	log      *slog.Logger
	reg      *prometheus.Registry
	boot     id.Boot
	buf      *buffer.Buffer
	actors   *actor.ActorSystem
	field    *field
	commands *command.Executor
	clock    *clockKeeper
	http     net.Listener // nil without an address
	socket   *uplink.Socket
	uplink   *uplink.Uplink
	moving   *progress    // of the sampler
	running  atomic.Int64 // devices
}

// Run is a gateway from its start to its clean end: it returns nil when ctx
// ended and everything sampled is committed.
func Run(ctx context.Context, cfg *Config, log *slog.Logger) error {
	a := &agent{cfg: cfg, log: log, reg: ops.NewRegistry()}
	// From the first moment: a SIGHUP while the buffer recovers would end the
	// process.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	if err := a.open(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = nil // it was stopped while it started
		}
		return errors.Join(err, a.release())
	}
	return a.run(ctx, hup)
}

// open makes every part, in the order in which data flows against.
func (a *agent) open(ctx context.Context) error {
	creds, err := identity.Load(a.cfg.Identity)
	if err != nil {
		return err
	}
	if creds.Gateway != a.cfg.Gateway {
		return a.cfg.errorf("gateway", "%s, but the identity in %s is that of %s; want that name, or an identity of this gateway", a.cfg.Gateway, a.cfg.Identity, creds.Gateway)
	}
	// The buffer's lock keeps a second agent out before anything else is touched.
	if err := a.openBuffer(ctx); err != nil {
		return err
	}
	if a.cfg.HTTP != "" {
		if a.http, err = ops.Listen(ctx, a.cfg.HTTP); err != nil {
			return err
		}
	}
	a.moving = &progress{read: func() uint64 { return a.buf.Stats().Sampled }}
	a.clock = newClockKeeper(a.buf.SetClock, a.log.With("part", "clock"), a.reg)
	a.clock.offer(systemClock())
	if a.socket, err = uplink.Listen(ctx, a.log.With("part", "uplink"), a.reg); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	a.actors = actor.NewActorSystem(actor.Config{Address: a.cfg.Gateway.Name, ClusterName: creds.Cluster}, a.log.With("part", "actors"), actor.WithMetrics(a.reg))
	if err := a.actors.RegisterDispatcher(device.Dispatcher, actor.DeviceDispatcher()); err != nil {
		return err
	}
	a.field = &field{
		sampler: device.New(a.actors, sinceBoot, func() int { return a.buf.Pressure().Keep() }, a.log.With("part", "sampler"), a.reg),
		buf:     a.buf, log: a.log.With("part", "bus"), reg: a.reg,
		buses: map[string]*openBus{}, devices: map[id.Device]DeviceConfig{},
	}
	if err := a.field.apply(ctx, a.cfg); err != nil {
		return err
	}
	a.commands, err = command.New(ctx, command.Config{Boot: a.boot, Now: sinceBoot}, a.buf.Ledger(), a.field.sampler, a.log.With("part", "commands"), a.reg)
	if err != nil {
		return err
	}
	gates := openNodes(a.cfg.State, a.log.With("part", "uplink"))
	a.uplink = uplink.New(uplink.Config{
		Cloud: a.cfg.Cloud, TLS: creds.ClientTLS(a.clock.now), Agent: "atrium-edge " + ops.Version(), OnTime: a.clock.told, MaxBackoff: a.cfg.Reconnect,
		Commands: a.commands, Nodes: gates.known, OnNodes: gates.learn, OnStarved: a.buf.SetStarved,
	}, uplink.FromBuffer(a.buf), uplink.Transport(a.socket), a.log.With("part", "uplink"), a.reg)
	a.fieldChanged()
	return nil
}

// fieldChanged tells the parts that depend on which devices run.
func (a *agent) fieldChanged() {
	a.running.Store(int64(len(a.field.devices)))
	a.uplink.SetDevices(a.field.names())
	a.moving.expect(time.Now(), stallAfter(a.field.devices))
}

func (a *agent) openBuffer(ctx context.Context) error {
	if err := os.MkdirAll(a.cfg.State, 0o700); err != nil {
		return a.cfg.errorf("state", "want a folder that can be written: %v", err)
	}
	var err error
	if a.boot, err = readBoot(); err != nil {
		return err
	}
	board, err := readBoard(a.cfg.State)
	if err != nil {
		return err
	}
	store, err := buffer.OpenBadger(filepath.Join(a.cfg.State, "buffer"), a.log.With("part", "badger"))
	if err != nil {
		return err
	}
	b := a.cfg.Buffer
	a.buf, err = buffer.Open(ctx, buffer.Config{
		Mode: b.Mode, CommitInterval: b.CommitInterval, Linger: b.Linger, Limit: b.Limit, EventLimit: b.Events, Reserve: b.Reserve, MaxMemory: b.Memory,
		WriteBudget: b.WriteBudget, Written: a.cfg.written, Board: board, Boot: a.boot, Now: sinceBoot,
	}, store, a.log.With("part", "buffer"), a.reg)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	return nil
}

// run serves until ctx ends, then stops.
func (a *agent) run(ctx context.Context, hup <-chan os.Signal) error {
	a.log.Info("running", "gateway", a.cfg.Gateway.String(), "devices", len(a.field.devices), "mode", a.cfg.Buffer.Mode.String(), "version", ops.Version())
	if a.cfg.Running != nil {
		a.cfg.Running(a.status)
	}
	// The parts outlive ctx: what they hold is drained first.
	parts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan error, 2)
	go func() { ended <- a.uplink.Run(parts) }()
	go func() { ended <- a.serve(parts) }()
	clockEnded := make(chan struct{})
	go func() { defer close(clockEnded); a.clock.run(parts) }()

	err := a.await(ctx, hup, ended)
	running := cap(ended)
	if err != nil {
		running--
	}
	err = errors.Join(err, a.drain(ctx))
	cancel()
	for range running {
		err = errors.Join(err, <-ended)
	}
	<-clockEnded
	return errors.Join(err, a.release())
}

// await reloads on SIGHUP until ctx ends, or a part that should not end does.
func (a *agent) await(ctx context.Context, hup <-chan os.Signal, ended <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return errors.Join(errors.New("agent: a part ended by itself"), err)
		case <-hup:
			if err := a.reload(ctx); err != nil {
				a.log.Error("reload: what is wrong was not taken over", "err", err)
			}
		}
	}
}

// reload takes over buses and devices of a configuration that is right as a
// whole, and says what else changed and waits for a restart.
func (a *agent) reload(ctx context.Context) error {
	next, err := LoadConfig(a.cfg.File)
	if err != nil {
		return err
	}
	next.Wires = a.cfg.Wires
	for _, key := range a.cfg.fixedDifferences(next) {
		a.log.Warn("reload: this key changed and takes effect at the next start", "key", key)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	a.commands.Pause() // a device that changes is away for a moment
	defer a.commands.Resume()
	err = a.field.apply(ctx, next)
	a.fieldChanged()
	a.log.Info("reloaded", "devices", len(a.field.devices))
	return err
}

// fixedDifferences names the keys that a reload does not take over.
func (c *Config) fixedDifferences(o *Config) []string {
	var keys []string
	for _, k := range []struct {
		name string
		same bool
	}{
		{"gateway", c.Gateway == o.Gateway},
		{"state", c.State == o.State},
		{"identity", c.Identity == o.Identity},
		{"cloud", fmt.Sprint(c.Cloud) == fmt.Sprint(o.Cloud)},
		{"http", c.HTTP == o.HTTP},
		{"log", c.Log == o.Log},
		{"drain", c.Drain == o.Drain},
		{"reconnect", c.Reconnect == o.Reconnect},
		{"memory-limit", c.Memory == o.Memory},
		{"buffer", c.Buffer == o.Buffer},
	} {
		if !k.same {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// drain stops sampling, commits, and waits for the cloud's acks as long as the
// configuration allows.
func (a *agent) drain(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	stop, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	a.commands.Seal()
	err := a.field.close(stop)
	a.field = nil
	// A bus that hangs must not take the commit's time.
	stop, cancel = context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err = errors.Join(err, a.buf.Seal(stop))
	wait, cancel := context.WithTimeout(ctx, a.cfg.Drain)
	defer cancel()
	if a.buf.Drained(wait) != nil {
		s := a.buf.Stats()
		a.log.Info("stopping with frames that the cloud has not acked; they are on disk", "frames", s.Frames, "readings", s.Readings)
	}
	return err
}

// release closes what open made, whatever of it there is.
func (a *agent) release() error {
	stop, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var err error
	if a.field != nil {
		err = a.field.close(stop)
	}
	if a.commands != nil {
		a.commands.Close()
	}
	if a.actors != nil {
		err = errors.Join(err, a.actors.Stop(stop))
	}
	if a.buf != nil {
		err = errors.Join(err, a.buf.Close(stop))
	}
	if a.socket != nil {
		err = errors.Join(err, a.socket.Close())
	}
	if a.http != nil {
		a.http.Close() // serve has closed it, unless it never came to that
	}
	return err
}

// serve answers health, metrics and status.
func (a *agent) serve(ctx context.Context) error {
	if a.http == nil {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	ops.Handle(mux, a.reg, ops.Checks{
		// A link that is down is not unhealthy: the buffer is there for that.
		Health: map[string]ops.Check{"sampler": func() error { return a.moving.check(time.Now()) }},
		Ready:  map[string]ops.Check{},
	})
	mux.HandleFunc("GET /status", a.serveStatus)
	a.log.Info("serving health and metrics", "http", a.http.Addr().String())
	return ops.ServeOn(ctx, a.http, mux)
}
