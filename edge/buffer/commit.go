package buffer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// retryAfter is how long the committer waits after a failed write.
	retryAfter = time.Second
	// reclaimBytes of deleted values are worth reclaiming: one value log file.
	reclaimBytes = 8 << 20
	// reclaimSlack is what the store may take, beyond half as much again as it
	// holds, before it reclaims at the cost of copying: three value log files.
	reclaimSlack = 24 << 20
	// reclaimDrained is the same when nothing else is held. Nobody waits then,
	// and no later commit might come to do it.
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

// commit writes what waits, removes finished runs and reclaims space. Without
// room it still deletes what is acked: that is what makes room.
func (b *Buffer) commit() error {
	b.mu.Lock()
	if b.core.urgent() {
		// The readings that led to an event are committed with it.
		b.cutAllLocked()
	}
	b.mu.Unlock()
	err := b.grow(b.cfg.Reserve, func() (*plan, error) { return b.core.commit(), nil })
	if errors.Is(err, ErrFull) {
		err = errors.Join(err, b.change(func() (*plan, error) { return b.core.letGo(), nil }))
	}
	if err != nil {
		return err
	}
	if err := b.removeRuns(); err != nil {
		return err
	}
	if err := b.merge(); err != nil {
		return err
	}
	return b.reclaim()
}

// grow makes room for what is in memory, and then is change.
func (b *Buffer) grow(reserve int64, build func() (*plan, error)) error {
	b.write <- struct{}{}
	defer func() { <-b.write }()
	if err := b.retry(); err != nil {
		return err
	}
	if err := b.makeRoom(reserve); err != nil {
		return err
	}
	return b.build(build)
}

// change builds a plan under mu and writes it, reserve or not: it must delete
// more than it writes, or write little. At most one plan is under way at a
// time, and one that failed before comes first.
func (b *Buffer) change(build func() (*plan, error)) error {
	b.write <- struct{}{}
	defer func() { <-b.write }()
	if err := b.retry(); err != nil {
		return err
	}
	return b.build(build)
}

func (b *Buffer) build(build func() (*plan, error)) error {
	b.mu.Lock()
	p, err := build()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return b.perform(p)
}

// retry writes the plan that failed before, if any.
func (b *Buffer) retry() error {
	if b.stuck == nil {
		return nil
	}
	return b.perform(b.stuck)
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
	b.core.press()
	b.core.count.commits += uint64(p.commits)
	b.core.count.commitBytes += uint64(p.payload)
	b.notifyLocked()
	return nil
}

// makeRoom drops the oldest segments while a class's limit, the index or the
// file system's reserve has no room for what is in memory. It returns ErrFull
// if that does not help. b.write is held.
func (b *Buffer) makeRoom(reserve int64) error {
	if b.ask(b.core.memory) == 0 {
		return nil
	}
	for i, class := range classes {
		// With nothing left to drop, memory alone is over the limit, and that is
		// bounded itself.
		if _, err := b.shrink(DropLimit, func() (int64, error) { return b.ask(b.core.in[i].overLimit), nil }, class); err != nil {
			return err
		}
	}
	if _, err := b.shrink(DropIndex, func() (int64, error) { return b.ask(b.core.overIndex), nil }, classes[:]...); err != nil {
		return err
	}
	missing, err := b.shrink(DropReserve, func() (int64, error) {
		free, err := b.store.Free()
		if err != nil {
			return 0, fmt.Errorf("free space: %w", err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.core.free = free
		return reserve + b.core.memory() - free, nil
	}, classes[:]...)
	if err == nil && missing > 0 {
		err = fmt.Errorf("%w: %d bytes more are needed", ErrFull, missing)
	}
	return err
}

// ask returns what of, which reads the core, says.
func (b *Buffer) ask(of func() int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return of()
}

// shrink drops the oldest segments of the classes, the first class first, until
// the excess is not above 0 or nothing is left to drop, and returns the excess
// that remains.
func (b *Buffer) shrink(reason DropReason, excess func() (int64, error), from ...wire.Class) (int64, error) {
	for step := 0; ; step++ {
		want, err := excess()
		if err != nil || want <= 0 {
			return want, err
		}
		b.mu.Lock()
		p := b.core.dropOldest(reason, want, from...)
		b.mu.Unlock()
		if p == nil || reason == DropReserve && step == maxRoomSteps {
			return want, err
		}
		if err := b.perform(p); err != nil {
			return want, err
		}
		if reason == DropReserve {
			if err := b.store.Reclaim(0); err != nil {
				return want, fmt.Errorf("reclaim: %w", err)
			}
		}
	}
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
	b.write <- struct{}{}
	defer func() { <-b.write }()
	now := b.cfg.Now()
	b.mu.Lock()
	garbage, live := b.core.garbage, b.core.live()
	b.mu.Unlock()
	worth := garbage >= reclaimBytes && now-b.reclaimed >= reclaimEvery || live == 0 && garbage >= reclaimDrained
	if !worth {
		return nil
	}
	if err := b.store.Reclaim(live + live/2 + reclaimSlack); err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	b.mu.Lock()
	b.core.garbage = 0
	b.mu.Unlock()
	b.reclaimed = now
	return nil
}
