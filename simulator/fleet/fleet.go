// Package fleet runs many gateways in one process: real agents, each with its
// own identity, state folder, buffer and UDP socket, on simulated boards in the
// same process. It is for load and for looking at a cloud with many gateways;
// nothing here survives the process but the agents' state folders.
//
// Folders of identities (`atrium-cloud issue gateway`) become gateways, each a
// configuration of edge/agent in buffer mode spill and a board of eight kinds
// of chips (board.go). A reading then goes its whole way: register, bus, device
// actor, buffer, link. What the agents say of themselves is summed up (Stats).
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/profile"
)

// Config says what a fleet is.
type Config struct {
	// Identities is a folder of SITE/GATEWAY folders, as `atrium-cloud issue
	// gateway` writes for several gateways.
	Identities string
	State      string // folder of the gateways' state folders
	Cloud      string // HOST:PORT of a gate
	Gateways   int    // how many of the identities to run, in the order of their names; 0: all
	Devices    int    // of each gateway, 1 to MaxDevices
	Every      time.Duration
	Seed       uint64 // of the boards' worlds
}

// Fleet is a set of gateways that can run.
type Fleet struct {
	cfg      Config
	gateways []gateway
	points   int // of a gateway

	mu      sync.Mutex
	running map[id.Gateway]func() agent.Status
}

// gateway is one of the fleet.
type gateway struct {
	name     id.Gateway
	identity string
}

// startAtOnce bounds the gateways that start at a time: opening a buffer is
// mostly fsyncs, and beyond some they only wait for each other.
const startAtOnce = 16

// New reads the identities. Errors name what is missing and how to make it.
func New(cfg Config) (*Fleet, error) {
	switch {
	case cfg.Devices < 1 || cfg.Devices > MaxDevices:
		return nil, fmt.Errorf("fleet: %d devices: want 1 to %d a gateway", cfg.Devices, MaxDevices)
	case cfg.Gateways < 0:
		return nil, fmt.Errorf("fleet: %d gateways: want 1 or more", cfg.Gateways)
	}
	var err error
	for _, path := range []*string{&cfg.Identities, &cfg.State} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, fmt.Errorf("fleet: %w", err)
		}
	}
	f := &Fleet{cfg: cfg, running: make(map[id.Gateway]func() agent.Status)}
	folders, err := filepath.Glob(filepath.Join(cfg.Identities, "*", "*", identity.CertFile))
	if err != nil {
		return nil, fmt.Errorf("fleet: identities: %w", err)
	}
	for _, file := range folders {
		creds, err := identity.Load(filepath.Dir(file))
		if err != nil {
			return nil, fmt.Errorf("fleet: %w", err)
		}
		f.gateways = append(f.gateways, gateway{creds.Gateway, filepath.Dir(file)})
		if len(f.gateways) == cfg.Gateways {
			break
		}
	}
	if have := len(f.gateways); have == 0 || have < cfg.Gateways {
		return nil, fmt.Errorf("fleet: %s holds %d identities, want %d: make them with `atrium-cloud issue gateway SITE/gw-{1..%d} --out %s`",
			cfg.Identities, have, max(cfg.Gateways, 1), max(cfg.Gateways, 1), cfg.Identities)
	}
	first, err := agent.ParseConfig("fleet", f.document(f.gateways[0], cfg.State))
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	for _, d := range first.Devices {
		f.points += len(d.Profile.Points)
	}
	return f, nil
}

// Gateways returns how many gateways the fleet has.
func (f *Fleet) Gateways() int { return len(f.gateways) }

// Rate returns how many readings a second the devices are asked for.
func (f *Fleet) Rate() float64 {
	return float64(len(f.gateways)*f.points) / f.cfg.Every.Seconds()
}

// Run runs the fleet until ctx ends, and returns after the last gateway has
// committed what it sampled. A gateway that fails ends all.
func (f *Fleet) Run(ctx context.Context, log *slog.Logger) error {
	starting := make(chan struct{}, startAtOnce)
	g, ctx := errgroup.WithContext(ctx)
	for i := range f.gateways {
		g.Go(func() error {
			select {
			case starting <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			started := sync.OnceFunc(func() { <-starting })
			defer started()
			if err := f.run(ctx, i, started, log); err != nil {
				return fmt.Errorf("fleet: %s: %w", f.gateways[i].name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (f *Fleet) run(ctx context.Context, i int, started func(), log *slog.Logger) error {
	gw := f.gateways[i]
	cfg, err := f.configure(i)
	if err != nil {
		return err
	}
	cfg.Running = func(status func() agent.Status) {
		f.mu.Lock()
		f.running[gw.name] = status
		f.mu.Unlock()
		started()
	}
	defer func() {
		f.mu.Lock()
		delete(f.running, gw.name)
		f.mu.Unlock()
	}()
	return agent.Run(ctx, cfg, log.With("gateway", gw.name.String()))
}

// configure makes the agent's configuration and powers its board on.
func (f *Fleet) configure(i int) (*agent.Config, error) {
	gw := f.gateways[i]
	b, err := f.newBoard(i)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(f.cfg.State, string(gw.name.Site), gw.name.Name)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	cfg, err := agent.ParseConfig(filepath.Join(state, "edge.yaml"), f.document(gw, state))
	if err != nil {
		return nil, err
	}
	cfg.Wires = b.wires
	for i := range cfg.Devices {
		cfg.Devices[i].Deadband = noDeadband(cfg.Devices[i].Profile)
	}
	return cfg, nil
}

// noDeadband makes a row of every sample, so that the load is what was asked.
func noDeadband(p *profile.Profile) map[id.Point]float64 {
	none := make(map[id.Point]float64, len(p.Points))
	for i := range p.Points {
		none[p.Points[i].Name] = 0
	}
	return none
}

// Stats sums up what the gateways that run say of themselves.
type Stats struct {
	Running   int    `json:"running"`
	Connected int    `json:"connected"`
	Sampled   uint64 `json:"sampled"` // readings
	Acked     uint64 `json:"acked"`
	Dropped   uint64 `json:"dropped"`
	Waiting   uint64 `json:"waiting"` // readings without an ack
	SentBytes uint64 `json:"sent_bytes"`
	DiskBytes int64  `json:"disk_bytes"`
}

// Stats looks at each gateway.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	var sum Stats
	for _, status := range f.running {
		s := status()
		sum.Running++
		if s.Connected {
			sum.Connected++
		}
		sum.Sampled += s.Sampled
		sum.Acked += s.Acked
		sum.Dropped += s.Dropped
		sum.Waiting += s.Buffer.Readings
		sum.SentBytes += s.SentBytes
		sum.DiskBytes += s.Buffer.DiskBytes
	}
	return sum
}

// errNoBus is a bus that the fleet's own configuration does not name.
var errNoBus = errors.New("BUG: fleet: no such bus")
