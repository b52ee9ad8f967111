package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/edge/command"
	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/hal/line"
	"github.com/atrium-iot/atrium/hal/regmap"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// gatewayMemory is the least that a buffer may be given.
const gatewayMemory = buffer.MinMaxMemory

// actuatorsEvery is how often stamps, dials and relays are read.
const actuatorsEvery = 3 * time.Second

// gateway is what outlives the process of a gateway: its board, its disk, its
// identity, and the kernel with its clocks.
type gateway struct {
	cfg     GatewayPlan
	name    id.Gateway
	trace   *trace
	net     *network
	tap     *tap
	cloud   []string
	creds   *identity.Credentials
	profile *profile.Profile
	board   *board
	disk    *buffertest.Disk
	rng     *rand.Rand
	index   int
	heard   hearsay
	books   *books
	told    gossip
	noise   atomic.Int64 // rows of it so far
	forgets bool         // sabotage: its ledger keeps nothing

	clone    *gateway      // that will get a copy of its card; nil for none
	inserted chan struct{} // of a clone: closed when it has its card

	uncounted bool // sabotage: its rows do not say what was withheld before them
	forgetful bool // sabotage: its store keeps nothing of the runs that it let go

	mu     sync.Mutex
	boots  map[id.Boot]time.Time // true time of each boot's zero
	boot   id.Boot
	offset time.Duration // error of its idea of UTC
	set    bool          // somebody vouches for that idea
	flips  float64
	life   *process    // nil between processes
	began  []time.Time // of each process so far
	full   time.Time   // since its disk was last full; zero for never
	cut    *commandCrash
	kept   map[id.Command]answer // what its ledger held at the end

	restart chan bool // take the process down cleanly; true: the kernel, too
}

// process is one start of the agent.
type process struct {
	gw       *gateway
	bootID   id.Boot
	boot     time.Time
	began    time.Time
	endpoint *endpoint
	quic     *quic.Transport
	buf      *buffer.Buffer
	source   *observed
	actors   *actor.ActorSystem
	owner    *bus.Owner[i2c.Bus]
	chip     *bus.Owner[line.Chip]
	sampler  *device.Sampler
	commands *command.Executor
	stop     context.CancelFunc
	uplinked chan error
	crashed  chan struct{} // closed at the power cut
	once     sync.Once
	metrics  *prometheus.Registry // of the sampler
	sensed   []*sensed

	mu  sync.Mutex
	cut time.Time // of its power; zero for never
}

func (g *gateway) host() net.IP { return net.IP{10, 0, 0, byte(1 + g.index)} }

// reboot starts the kernel anew: another boot id, a clock from 0.
func (g *gateway) reboot() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.boot {
		g.boot[i] = byte(g.rng.Uint32())
	}
	g.boots[g.boot] = time.Now()
}

// run keeps the process up until ctx ends: what crashes is started again after
// a pause, as systemd would.
func (g *gateway) run(ctx context.Context) {
	if g.inserted != nil {
		select {
		case <-g.inserted:
		case <-ctx.Done():
			return
		}
	}
	for ctx.Err() == nil {
		p, err := g.start()
		if err == nil {
			select {
			case <-p.crashed:
				g.trace.event("%s: crashed", g.name)
				p.end(false)
			case kernel := <-g.restart:
				p.end(true)
				if kernel {
					g.reboot()
				}
			case <-ctx.Done():
				return // the run ends it
			}
		} else if !errors.Is(err, buffertest.ErrCrashed) {
			g.trace.complain("start", "%s: %v", g.name, err)
		}
		select {
		case <-time.After(g.cfg.Restart):
		case <-ctx.Done():
			return
		}
	}
}

// start is what agent.open does.
func (g *gateway) start() (*process, error) {
	g.mu.Lock()
	g.began = append(g.began, time.Now())
	p := &process{gw: g, bootID: g.boot, boot: g.boots[g.boot], began: time.Now(), uplinked: make(chan error, 1), crashed: make(chan struct{}), metrics: prometheus.NewRegistry()}
	boot, offset, set, flips, seed := g.boot, g.offset, g.set, g.flips, g.rng.Uint64()
	addr := &net.UDPAddr{IP: g.host(), Port: 1000 + len(g.began)}
	g.mu.Unlock()

	store, err := g.disk.Open()
	if err != nil {
		return nil, err
	}
	p.endpoint = g.net.endpoint(addr)
	log := g.trace.logger(g.name.String())
	since := func() time.Duration { return time.Since(p.boot) }
	p.buf, err = buffer.Open(context.Background(), buffer.Config{
		Mode: g.cfg.Mode, CommitInterval: g.cfg.Interval, Linger: g.cfg.Linger, MaxMemory: gatewayMemory, Limit: g.cfg.Limit, Reserve: reserve,
		Board: id.Board{byte(1 + g.index)}, Boot: boot, Now: since,
	}, &mortal{store, p}, log, nil)
	if err != nil {
		g.disk.Crash()
		return nil, errors.Join(err, p.endpoint.Close())
	}
	if set || g.cfg.RTC.IsZero() {
		p.setClock(offset)
	} else {
		p.buf.SetClock(g.cfg.RTC.UnixMicro(), 0, wire.ClockNone)
	}
	if err := p.openField(boot, since, log); err != nil {
		if p.isCrashed() {
			err = buffertest.ErrCrashed
		}
		ctx := context.Background()
		return nil, errors.Join(err, p.closeField(ctx), p.buf.Close(ctx), p.endpoint.Close())
	}
	p.quic = uplink.Transport(p.endpoint)
	p.source = &observed{Source: uplink.FromBuffer(p.buf), gateway: g.name, tap: g.tap, books: g.books, rng: rand.New(rand.NewPCG(seed, 1)), flips: flips}
	up := uplink.New(uplink.Config{
		Cloud: g.cloud, TLS: g.creds.ClientTLS(nil), Agent: "sim", MinBackoff: 100 * time.Millisecond, MaxBackoff: 2 * time.Second,
		Commands: ears{p.commands, p},
		DialTCP:  func(ctx context.Context, at netip.AddrPort) (net.Conn, error) { return g.net.dialTCP(ctx, addr, at) },
	}, p.source, p.quic, log, nil)
	up.SetDevices(append(g.board.all(), g.board.noise))
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.uplinked <- up.Run(ctx) }()
	g.mu.Lock()
	g.life = p
	g.mu.Unlock()
	return p, nil
}

// openField opens the buses, and begins to sample and to take commands.
func (p *process) openField(boot id.Boot, since func() time.Duration, log *slog.Logger) error {
	g := p.gw
	p.actors = actor.NewActorSystem(actor.Config{Address: g.name.Name, ClusterName: g.creds.Cluster}, log)
	p.owner = bus.New[i2c.Bus](g.board.String(), mortalBus{g.board, p}, bus.Config{}, log, nil)
	p.chip = bus.New[line.Chip](g.board.panel.String(), mortalLines{g.board.panel, p}, bus.Config{}, log, nil)
	err := p.actors.RegisterDispatcher(device.Dispatcher, actor.DeviceDispatcher())
	p.sampler = device.New(p.actors, since, func() int { return p.buf.Pressure().Keep() }, log, p.metrics)
	if err == nil {
		err = p.addDevices()
	}
	if err == nil {
		p.commands, err = command.New(context.Background(), command.Config{Boot: boot, Now: since}, mortalLedger{p.buf.Ledger(), p}, p.sampler, log, nil)
	}
	return err
}

// closeField ends sampling and commands, and then the buses.
func (p *process) closeField(ctx context.Context) error {
	err := errors.Join(p.sampler.Stop(ctx), p.owner.Close(ctx), p.chip.Close(ctx))
	if p.commands != nil {
		p.commands.Close()
	}
	return errors.Join(err, p.actors.Stop(ctx))
}

// addDevices adds the counters, and the actuators, which speak rarely.
func (p *process) addDevices() error {
	b := p.gw.board
	for i, dev := range b.devices {
		if err := p.addDevice(dev, p.gw.profile, p.gw.cfg.Every, regmap.New(p.gw.profile, uint16(firstAddress+i)).On(p.owner)); err != nil {
			return err
		}
	}
	for _, a := range b.panel.actuators {
		lines, err := line.New(a.profile, a.lines)
		if err != nil {
			return err
		}
		if err := p.addDevice(a.device, a.profile, actuatorsEvery, lines.On(p.chip)); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) addDevice(name id.Device, of *profile.Profile, every time.Duration, dev device.Device) error {
	cfg := device.Config{Device: name, Profile: of, Every: every}
	series, err := p.buf.Series(name, of.Body(), of.Digest, cfg.Grid())
	if err != nil {
		return err
	}
	health, err := p.buf.EventSeries(name, device.HealthBody(), [32]byte{})
	if err != nil {
		return err
	}
	d := &sensed{Device: dev, name: name, process: p, rows: series}
	p.sensed = append(p.sensed, d)
	return p.sampler.Add(cfg, d, d, events{health, p, name})
}

func (p *process) setClock(offset time.Duration) {
	p.buf.SetClock(p.boot.Add(offset).UnixMicro(), 1000, wire.ClockSystem)
}

func (p *process) isCrashed() bool {
	select {
	case <-p.crashed:
		return true
	default:
		return false
	}
}

// powerCut is kill -9: from this moment nothing leaves the process.
func (p *process) powerCut() {
	p.once.Do(func() {
		p.gw.net.isolate(p.endpoint.LocalAddr())
		p.mu.Lock()
		p.cut = time.Now()
		p.mu.Unlock()
		close(p.crashed)
	})
}

// died returns when the power was cut, zero if it was not.
func (p *process) died() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

// seal ends sampling and commits, as agent.drain does first.
func (p *process) seal(ctx context.Context) error {
	p.commands.Seal()
	return errors.Join(p.sampler.Stop(ctx), p.owner.Close(ctx), p.chip.Close(ctx), p.buf.Seal(ctx))
}

// end takes the process down: cleanly, or what is left of a crashed one.
func (p *process) end(clean bool) {
	p.gw.mu.Lock()
	p.gw.life = nil
	p.gw.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := p.closeField(ctx)
	p.stop()
	err = errors.Join(err, <-p.uplinked, p.buf.Close(ctx), p.quic.Close(), p.endpoint.Close())
	if clean && err != nil && !p.isCrashed() {
		p.gw.trace.complain("stop", "%s: %v", p.gw.name, err)
	}
	p.checkWithheld(clean && err == nil && !p.isCrashed())
}

// mortal is a store that tells what is durable, and when it died.
type mortal struct {
	buffer.Store
	process *process
}

// Commit implements buffer.Store.
func (m *mortal) Commit(b *buffer.Batch) error {
	if m.process.gw.forgetful {
		b = withoutGone(b)
	}
	err := m.Store.Commit(b)
	switch {
	case err == nil:
		m.process.gw.books.wrote(m.process, b)
	case errors.Is(err, buffertest.ErrCrashed):
		m.process.powerCut()
	}
	return err
}

// withoutGone takes the records of runs that are gone out of a batch.
func withoutGone(b *buffer.Batch) *buffer.Batch {
	var out buffer.Batch
	for _, op := range b.Ops {
		switch {
		case op.Value == nil:
			out.Delete(op.Key)
		case op.Key[0] != storedGone:
			out.Put(op.Key, op.Value)
		}
	}
	return &out
}

// current returns the process that runs, or nil.
func (g *gateway) current() *process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.life
}

func (g *gateway) String() string {
	return fmt.Sprintf("%s %s every %s, commits every %s", g.name, g.cfg.Mode, g.cfg.Every, g.cfg.Interval)
}

// up waits for a process.
func (g *gateway) up(ctx context.Context) (*process, error) {
	for {
		if p := g.current(); p != nil && !p.isCrashed() {
			return p, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("the agent does not come up: %w", ctx.Err())
		}
	}
}

const (
	// plenty is free space that no run uses up.
	plenty = 1 << 40
	// spared is how long a gateway's power stays on after its disk was full.
	// What it could not write meanwhile is in its memory alone, and the bound of
	// a commit interval does not hold for it: the buffer's retry must have come.
	spared = 4 * time.Second
)

// fill takes the disk's free space, or gives it back.
func (g *gateway) fill(full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.full = time.Now()
	if full {
		g.full = g.full.Add(time.Hour)
		g.disk.CrashAt(0)
		g.disk.SetFree(reserve / 2)
		return
	}
	g.disk.SetFree(plenty)
}

// isSpared reports whether a stop now would cost more than a commit interval.
func (g *gateway) isSpared() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isSparedLocked()
}

func (g *gateway) isSparedLocked() bool {
	if g.full.IsZero() || time.Since(g.full) > spared {
		return false
	}
	g.trace.event("%s is spared: its disk is or was full", g.name)
	return true
}

func (g *gateway) cleanRestart(kernel bool) {
	if g.isSpared() {
		return
	}
	select {
	case g.restart <- kernel:
	default: // one is under way
	}
}

// crashAt cuts the power at the nth durable step from now.
func (g *gateway) crashAt(n int) {
	if !g.isSpared() {
		g.disk.CrashAt(n)
	}
}

// crash cuts the power, of the board's kernel too if asked to.
func (g *gateway) crash(kernel bool) {
	p := g.current()
	if p == nil || g.isSpared() {
		return
	}
	p.powerCut()
	g.disk.Crash()
	if kernel {
		g.reboot()
	}
}

// stepClock sets the error of the gateway's UTC.
func (g *gateway) stepClock(offset time.Duration) {
	g.mu.Lock()
	g.offset, g.set = offset, true
	p := g.life
	g.mu.Unlock()
	if p != nil {
		p.setClock(offset)
	}
}

func (g *gateway) setFlips(probability float64) {
	g.mu.Lock()
	g.flips = probability
	p := g.life
	g.mu.Unlock()
	if p != nil {
		p.source.setFlips(probability)
	}
}

func (g *gateway) starts() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.began)
}
