package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/node"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

const (
	// lookEvery is how exactly pauses are known.
	lookEvery = 50 * time.Millisecond
	// answerWithin bounds one question to a log's leader, or one command, which
	// need some milliseconds.
	answerWithin = 500 * time.Millisecond
)

// pauses are the times between things that should come all the time.
type pauses struct {
	mu   sync.Mutex
	last time.Time
	most time.Duration
}

func (p *pauses) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.most = time.Now(), 0
}

// came says that one has come.
func (p *pauses) came() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.most, p.last = max(p.most, now.Sub(p.last)), now
}

// longest is the longest pause since begin, one that has not ended counted too.
func (p *pauses) longest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.most, time.Since(p.last))
}

// watch begins to look at acks and at the logs, until ctx ends; then wait
// returns.
func (b *bench) watch(ctx context.Context) (wait func(), err error) {
	s, err := b.cluster.Join(ctx)
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	for shard := range node.DefaultClusterShards {
		l, err := journal.OpenLog(ctx, s, shard, journal.LogConfig{MaxBytes: s.LogBytes(node.DefaultClusterShards)}, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			s.Close()
			return nil, err
		}
		p := &pauses{}
		b.logs = append(b.logs, p)
		all.Go(func() { ask(ctx, l, p) })
	}
	for _, site := range b.line.Sites {
		p := &pauses{}
		b.acks = append(b.acks, p)
		all.Go(func() { look(ctx, site, p) })
		c := &pauses{}
		b.commands = append(b.commands, c)
		all.Go(func() { b.command(ctx, id.Device{Site: id.Site(site.Name), Name: "c1"}, c) })
	}
	return func() { all.Wait(); s.Close() }, nil
}

// ask asks a log's leader one thing after another: only a leader answers, and
// without one nothing is stored.
func ask(ctx context.Context, l *journal.Log, p *pauses) {
	for line.Pause(ctx, lookEvery) == nil {
		short, cancel := context.WithTimeout(ctx, answerWithin)
		if _, _, err := l.LastBarrier(short); err == nil {
			p.came()
		}
		cancel()
	}
}

// begin begins to watch for the longest of several pauses.
func begin(all []*pauses) {
	for _, p := range all {
		p.begin()
	}
}

// longest is the longest of all.
func longest(all []*pauses) (most time.Duration) {
	for _, p := range all {
		most = max(most, p.longest())
	}
	return most
}

// look sees a gateway's acks grow.
func look(ctx context.Context, s *line.Site, p *pauses) {
	var acked uint64
	for line.Pause(ctx, lookEvery) == nil {
		st, err := s.Status(ctx)
		if err == nil && st.Acked > acked {
			acked = st.Acked
			p.came()
		}
	}
}

// command sends one command after another to a device, through whichever core
// node answers, and sees them accepted, durably. The device knows none of that
// name, and its gateway says so.
func (b *bench) command(ctx context.Context, dev id.Device, p *pauses) {
	for line.Pause(ctx, lookEvery) == nil {
		for _, n := range b.cluster.All[:nodes.Cores] {
			short, cancel := context.WithTimeout(ctx, answerWithin)
			_, err := n.API.Send(short, dev, client.CommandRequest{Command: "probe"})
			cancel()
			if err == nil {
				p.came()
				break
			}
		}
	}
}
