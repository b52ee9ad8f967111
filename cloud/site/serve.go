package site

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// arrival is what the reading goroutine found.
type arrival struct {
	msg journal.Message
	err error
}

// serve applies messages as they come, answers queries between them, looks at
// timers and begins snapshots.
func (s *Shard) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	if s.last != nil {
		s.keeper.manifests = []*manifest{s.last}
	}
	kept := make(chan error, 1)
	go func() { kept <- s.keeper.run(ctx) }()
	arrivals, stop, err := s.read(ctx)
	defer func() {
		cancel()
		stop()
		<-kept
	}()
	if err != nil {
		return err
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	s.snapAt = time.Now()
	changed := s.documents.Changed()
	s.begin()
	for {
		taken := arrivals
		if s.shelf.crowded() || s.late.crowded() {
			taken = nil // the lag grows, and with it what gateways keep back
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.shelf.room():
		case <-s.late.signal:
			s.keepHeld()
		case then := <-s.mover.done:
			then()
			s.keepHeld()
		case err := <-kept:
			kept <- err // for the deferred wait
			return err
		case a := <-taken:
			if errors.Is(a.err, journal.ErrGap) {
				stop()
				s.log.Warn("the log is not dense, recovering again", "err", a.err)
				s.reset()
				if err := s.recoverAgain(ctx); err != nil {
					return err
				}
				if arrivals, stop, err = s.read(ctx); err != nil {
					return err
				}
				changed = s.documents.Changed()
				s.begin()
				continue
			}
			if err := s.arrived(ctx, a, len(arrivals) == 0); err != nil {
				return err
			}
		case q := <-s.queries:
			q.f()
			close(q.done)
			if len(s.savers) > 0 {
				if err := s.snapshotIfDue(ctx, time.Now()); err != nil {
					return err
				}
			}
		case <-changed:
			changed = s.documents.Changed()
			s.copyDocuments()
			s.move()
		case job := <-s.keeper.stored:
			s.stored(job)
		case now := <-tick.C:
			if err := s.look(ctx, now); err != nil {
				return err
			}
		}
	}
}

// look does what is due by time, or could not be done when it was due.
func (s *Shard) look(ctx context.Context, now time.Time) error {
	s.tick(now)
	s.move()
	s.keepHeld()
	s.resend(now)
	if s.uncopied {
		s.copyDocuments()
	}
	return s.snapshotIfDue(ctx, now)
}

// arrived applies a message. When no other waits, history gets what is
// pending: under load one fsync takes many messages, and none waits for more.
func (s *Shard) arrived(ctx context.Context, a arrival, idle bool) error {
	if a.err != nil {
		return a.err
	}
	if err := s.apply(ctx, a.msg); err != nil {
		return err
	}
	if idle {
		if err := s.flush(); err != nil {
			return err
		}
	}
	return s.snapshotIfDue(ctx, time.Now())
}

// read begins to read ahead from the message after the last applied one. stop
// ends it and waits.
func (s *Shard) read(ctx context.Context) (arrivals chan arrival, stop func(), err error) {
	r, err := s.journal.Read(ctx, s.applied+1)
	if err != nil {
		return nil, func() {}, fmt.Errorf("read from %d: %w", s.applied+1, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	arrivals = make(chan arrival, readAhead)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.Close()
		for {
			m, err := r.Next(ctx)
			select {
			case arrivals <- arrival{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return arrivals, func() { cancel(); <-done }, nil
}

// tick publishes a tick record for every site with a due timer, unless one is
// on its way. Whether it changes anything is decided when it is applied.
func (s *Shard) tick(now time.Time) {
	s.keeper.measure(s.applied)
	if s.ticking {
		return
	}
	var recs []journal.Record
	for _, name := range s.names() {
		if due := s.sites[name].due(); due != 0 && due <= now.UnixMicro() && len(recs) < journal.MaxRecords {
			recs = append(recs, journal.Record{Kind: journal.KindTick, Origin: s.cfg.Node, Site: name, Body: journal.AppendTick(nil)})
		}
	}
	if len(recs) > 0 {
		s.ticking = true
		s.metrics.ticks.Inc()
		s.keeper.add(recs...)
	}
}
