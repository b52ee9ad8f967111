package buffer

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// retryAfter is how long the committer waits after a failed write.
	retryAfter = time.Second
	// reclaimBytes of deleted values are worth reclaiming: one value log file.
	reclaimBytes = 8 << 20
	// reclaimDrained is the same when nothing else is held.
	reclaimDrained = 1 << 20
	// reclaimEvery: reclaiming writes, and readers wait for it for about 10 ms.
	reclaimEvery = 5 * time.Second
	// maxRoomSteps bounds the drops before one write: value log files come
	// free only when most of their 8 MiB is deleted.
	maxRoomSteps = 8
)

// committer writes what is due.
func (b *Buffer) committer(ctx context.Context) {
	failing := false
	b.loop(ctx, b.commitWake, func() (time.Duration, bool) {
		b.mu.Lock()
		at, ok := b.core.commitDue()
		b.mu.Unlock()
		if now := b.cfg.Now(); !ok || at > now {
			return at - now, ok
		}
		err := b.commit()
		if err != nil && !failing {
			b.log.Error("buffer: readings cannot be committed; they stay in memory up to its bound", slog.Any("error", err))
		} else if err == nil && failing {
			b.log.Info("buffer: readings are committed again")
		}
		if failing = err != nil; failing {
			return b.pause(ctx), true
		}
		return 0, true
	})
}

// pause waits out retryAfter, whatever wakes the committer meanwhile.
func (b *Buffer) pause(ctx context.Context) time.Duration {
	t := time.NewTimer(retryAfter)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return 0
}

// commit writes what waits, removes finished runs and reclaims space.
func (b *Buffer) commit() error {
	if err := b.change(func() (*plan, error) { return b.core.commit(), nil }); err != nil {
		return err
	}
	if err := b.removeRuns(); err != nil {
		return err
	}
	return b.reclaim()
}

// change makes room, then builds a plan under mu and writes it. At most one
// change happens at a time, and a plan that failed before comes first.
func (b *Buffer) change(build func() (*plan, error)) error {
	b.write.Lock()
	defer b.write.Unlock()
	if b.stuck != nil {
		if err := b.perform(b.stuck); err != nil {
			return err
		}
	}
	if err := b.makeRoom(); err != nil {
		return err
	}
	b.mu.Lock()
	p, err := build()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return b.perform(p)
}

// perform writes a plan's batches and applies it. A plan that fails is kept:
// the store may have taken the batch, and only the same batch again is sure to
// leave it as the plan wants it. b.write is held.
func (b *Buffer) perform(p *plan) error {
	if p == nil {
		return nil
	}
	b.stuck = p
	for len(p.batches) > 0 {
		err := b.store.Commit(p.batches[0])
		b.mu.Lock()
		b.core.count.writes++
		if err != nil {
			b.core.count.writeErrors++
		}
		b.mu.Unlock()
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		p.batches = p.batches[1:]
	}
	b.stuck = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	p.apply()
	b.core.count.commits += uint64(p.commits)
	b.core.count.commitBytes += uint64(p.payload)
	b.notifyLocked()
	return nil
}

// makeRoom drops the oldest segments while the limit, the index or the file
// system's reserve has no room for what is in memory. b.write is held.
func (b *Buffer) makeRoom() error {
	for range maxRoomSteps {
		b.mu.Lock()
		reason, want := DropLimit, b.core.overQuota()
		if want <= 0 && b.core.segments() > maxSegments {
			reason, want = DropIndex, b.core.live
		}
		need := b.core.memory
		b.mu.Unlock()
		if want <= 0 {
			free, err := b.store.Free()
			if err != nil {
				return fmt.Errorf("free space: %w", err)
			}
			reason, want = DropReserve, b.cfg.Reserve+need-free
		}
		if want <= 0 {
			return nil
		}
		b.mu.Lock()
		p := b.core.dropOldest(reason, want)
		b.mu.Unlock()
		if p == nil && reason != DropReserve {
			return nil
		}
		if err := b.perform(p); err != nil {
			return err
		}
		if reason != DropReserve {
			continue
		}
		if err := b.store.Reclaim(); err != nil {
			return fmt.Errorf("reclaim: %w", err)
		}
		if p == nil {
			break
		}
	}
	return b.checkReserve()
}

// checkReserve returns ErrFull when dropping has not helped.
func (b *Buffer) checkReserve() error {
	free, err := b.store.Free()
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	b.mu.Lock()
	need := b.core.memory
	b.mu.Unlock()
	if free < b.cfg.Reserve+need {
		return fmt.Errorf("%w: %d bytes free", ErrFull, free)
	}
	return nil
}

// removeRuns takes the runs that are done with out of the store.
func (b *Buffer) removeRuns() error {
	b.mu.Lock()
	var gone []*run
	for _, r := range b.core.runs {
		if b.core.removable(r) {
			gone = append(gone, r)
		}
	}
	b.mu.Unlock()
	for _, r := range gone {
		keys, err := b.keysOf(r)
		if err != nil {
			return err
		}
		if err := b.change(func() (*plan, error) {
			p := newPlanner()
			p.remove(&b.core, r, keys)
			return p.plan(), nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// keysOf lists the schemas and clocks of a run in the store.
func (b *Buffer) keysOf(r *run) (keys [][]byte, err error) {
	for _, kind := range []byte{keySchema, keyClock} {
		err := b.store.Scan(append([]byte{kind}, r.id[:]...), func(key []byte, _ int64) error {
			keys = append(keys, append([]byte(nil), key...))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
	}
	return keys, nil
}

// reclaim gives disk space back when enough has been deleted.
func (b *Buffer) reclaim() error {
	b.write.Lock()
	defer b.write.Unlock()
	now := b.cfg.Now()
	b.mu.Lock()
	garbage, drained := b.core.garbage, b.core.live == 0
	b.mu.Unlock()
	worth := garbage >= reclaimBytes || drained && garbage >= reclaimDrained
	if !worth || now-b.reclaimed < reclaimEvery {
		return nil
	}
	if err := b.store.Reclaim(); err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	b.mu.Lock()
	b.core.garbage = 0
	b.mu.Unlock()
	b.reclaimed = now
	return nil
}
