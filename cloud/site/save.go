package site

import (
	"context"
	"fmt"
)

// save is the answer to who waits for a snapshot.
type save struct {
	seq uint64
	err error
}

// Save makes a snapshot now and returns up to which message of the log the
// newest durable one stands, 0 if there is nothing to keep: an owner does this
// before it hands its shard over, so that the next one replays little. One that
// is on its way counts. The shard goes on meanwhile.
func (s *Shard) Save(ctx context.Context) (seq uint64, err error) {
	answer := make(chan save, 1)
	if err := s.ask(ctx, func() { s.savers = append(s.savers, answer) }); err != nil {
		return 0, err
	}
	select {
	case a := <-answer:
		return a.seq, a.err
	case <-s.ended:
		return 0, fmt.Errorf("site: shard %d: save: %w", s.cfg.Shard, ErrEnded)
	case <-ctx.Done():
		return 0, fmt.Errorf("site: shard %d: save: %w", s.cfg.Shard, ctx.Err())
	}
}

// saved answers who waits: job is nil where there was nothing to keep.
func (s *Shard) saved(job *snapshotJob) {
	var a save
	if s.last != nil {
		a.seq = s.last.Seq
	}
	if job != nil && !job.kept {
		a.err = fmt.Errorf("site: shard %d: save: %w", s.cfg.Shard, job.err)
	}
	for _, to := range s.savers {
		to <- a
	}
	s.savers = nil
}
