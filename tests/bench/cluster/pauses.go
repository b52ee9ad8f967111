package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

const (
	// lookEvery is how exactly pauses are known.
	lookEvery = 20 * time.Millisecond
	// ownersBucket holds who owns what: a claim is a write to it. Keys that are
	// not a shard's nobody heeds.
	ownersBucket = "owners"
	key          = "bench"
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

// watch begins to write to the store and to look at acks, until ctx ends; then
// wait returns.
func (b *bench) watch(ctx context.Context) (wait func(), err error) {
	s, err := b.cluster.Join(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := journal.OpenKV(ctx, s, ownersBucket)
	if err != nil {
		s.Close()
		return nil, err
	}
	var all sync.WaitGroup
	b.store = &pauses{}
	all.Go(func() { write(ctx, kv, b.store) })
	for _, site := range b.line.Sites {
		p := &pauses{}
		b.acks = append(b.acks, p)
		all.Go(func() { look(ctx, site, p) })
	}
	return func() { all.Wait(); s.Close() }, nil
}

// write commits one small document after another.
func write(ctx context.Context, kv *journal.KV, p *pauses) {
	var revision uint64
	for n := 0; line.Pause(ctx, lookEvery) == nil; n++ {
		r, err := kv.Put(ctx, key, fmt.Append(nil, n), revision)
		switch {
		case err == nil:
			revision = r
			p.came()
		case errors.Is(err, journal.ErrConflict) || errors.Is(err, journal.ErrAmbiguous):
			if e, err := kv.Get(ctx, key); err == nil {
				revision = e.Revision
			}
		}
	}
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
