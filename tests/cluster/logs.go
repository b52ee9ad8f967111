package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	cloud "github.com/atrium-iot/atrium/cloud/node"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// readTime bounds the reading of all logs.
const readTime = time.Minute

// readLogs reads every log that there is. It returns how many claims they hold and what is wrong
// with their barriers.
func readLogs(ctx context.Context, c *nodes.Cluster) (claims int, wrong []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	s, err := c.Join(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer s.Close()
	for shard := range cloud.DefaultClusterShards {
		chain, err := readBarriers(ctx, s, shard)
		for errors.Is(err, journal.ErrGap) && ctx.Err() == nil { // its owner purged it meanwhile
			chain, err = readBarriers(ctx, s, shard)
		}
		if err != nil {
			return 0, nil, fmt.Errorf("shard %d: %w", shard, err)
		}
		claims += chain.claims()
		for _, w := range chain.check() {
			wrong = append(wrong, fmt.Sprintf("shard %d: %s", shard, w))
		}
	}
	return claims, wrong, nil
}

// fence is a barrier at its sequence.
type fence struct {
	journal.Barrier
	seq uint64
}

// chain are the barriers of a log, the oldest first. Those before the last
// snapshot may have been purged.
type chain []fence

// readBarriers reads a log from its first message to what is its last now.
func readBarriers(ctx context.Context, s *journal.Server, shard int) (chain, error) {
	l, err := journal.OpenLog(ctx, s, shard, journal.LogConfig{MaxBytes: s.LogBytes(cloud.DefaultClusterShards)}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, err
	}
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	r, err := l.Read(ctx, first)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var c chain
	for {
		m, err := r.Next(ctx)
		if err != nil {
			return nil, err
		}
		b, is, err := m.Barrier()
		if err != nil {
			return nil, err
		}
		if is {
			c = append(c, fence{b, m.Seq})
		}
		if m.Seq >= last {
			return c, nil
		}
	}
}

// claims counts the barriers that began an epoch. An owner publishes its own
// again before each purge.
func (c chain) claims() (n int) {
	for i := range c {
		if i == 0 || c[i].Compare(c[i-1].Barrier) != 0 {
			n++
		}
	}
	return n
}

// check says what is wrong: epochs only rise, each is of one owner, and each
// barrier knew the one before it (I3).
func (c chain) check() (wrong []string) {
	for i := 1; i < len(c); i++ {
		a, b := c[i-1], c[i]
		switch order := b.Compare(a.Barrier); {
		case order < 0, order == 0 && a.Owner != b.Owner:
			wrong = append(wrong, fmt.Sprintf("the barrier of %s at %d has epoch %d.%d after %d.%d of %s at %d", b.Owner, b.seq, b.Incarnation, b.Epoch, a.Incarnation, a.Epoch, a.Owner, a.seq))
		case b.Previous != a.seq:
			wrong = append(wrong, fmt.Sprintf("the barrier of %s at %d follows that at %d and names that at %d", b.Owner, b.seq, a.seq, b.Previous))
		}
	}
	return wrong
}
