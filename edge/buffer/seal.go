package buffer

import (
	"context"
	"errors"
	"fmt"
)

// Seal ends sampling: it commits what is held and marks the open runs as closed
// while their frames can still be sent and acked. Append then returns ErrClosed.
// Close comes after it.
func (b *Buffer) Seal(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.cutAllLocked()
	b.sealed = true
	done := make(chan error, 1)
	b.running.Go(func() { done <- b.finish() }) // before a Close waits
	b.mu.Unlock()
	return finished(ctx, done, "seal")
}

// Drained returns nil once no frame waits for an ack, or the context's error.
func (b *Buffer) Drained(ctx context.Context) error {
	for {
		b.mu.Lock()
		done := b.core.openRows() == 0
		for _, r := range b.core.runs {
			done = done && r.drained()
		}
		b.waiting = true
		changed := b.changed
		b.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// Close commits what is held, marks the open runs as closed and closes the
// store. If the context ends first, or the store fails, they stay unclean.
func (b *Buffer) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.cutAllLocked()
	b.closed, b.sealed = true, true
	b.notifyLocked()
	b.mu.Unlock()
	b.stop()
	done := make(chan error, 1)
	go func() {
		b.running.Wait()
		done <- errors.Join(b.finish(), b.saveBudget(), b.store.Close())
	}()
	return finished(ctx, done, "close")
}

// finish closes the open runs. What it writes may take half of the reserve: it
// would be lost without.
func (b *Buffer) finish() error {
	return b.grow(b.cfg.Reserve/2, func() (*plan, error) { return b.core.finish(), nil })
}

// finished waits for done or the context.
func finished(ctx context.Context, done <-chan error, what string) error {
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("buffer: %s: %w", what, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("buffer: %s: %w", what, context.Cause(ctx))
	}
}
