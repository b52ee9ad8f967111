package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// createAttempt and createWithin bound the making of a stream: before the
	// cluster has a leader a request gets no answer at all.
	createAttempt = 2 * time.Second
	createWithin  = 30 * time.Second
	retryPause    = 200 * time.Millisecond
	// errNoStorage: the sum of what streams reserve would exceed the store.
	errNoStorage = jetstream.ErrorCode(10047)
	// errNoPeers: of the cluster's nodes some are not there yet, or full.
	errNoPeers = jetstream.ErrorCode(10005)
	// errNameInUse: there is one of the name, with another size.
	errNameInUse = jetstream.ErrorCode(10058)
)

// errNotMade is not the server's: a worker waits for a core node.
var errNotMade = errors.New("no core node has made it yet")

// errMadeMeanwhile is likewise: it is opened at the next attempt.
var errMadeMeanwhile = errors.New("another node has made it at the same time")

// openStream makes a stream, or opens it and brings its configuration up to
// date. All streams of this package are made here: each with the server's
// number of replicas. In a cluster a stream keeps the size that it was made
// with, as the nodes' shares may differ; a worker only opens.
//
// Reads of single messages go to the stream's leader (AllowDirect is off): any
// replica would answer otherwise, also one that lags behind the caller's own
// writes.
func (s *Server) openStream(ctx context.Context, cfg jetstream.StreamConfig) (st jetstream.Stream, err error) {
	cfg.Storage, cfg.Replicas, cfg.AllowDirect = jetstream.FileStorage, s.Replicas(), false
	err = untilAnswered(ctx, func(ctx context.Context) (err error) {
		if s.cfg.Cluster != nil {
			st, err = s.js.Stream(ctx, cfg.Name)
			switch {
			case err == nil && s.worker():
				return nil
			case err == nil:
				cfg.MaxBytes = st.CachedInfo().Config.MaxBytes
			case !errors.Is(err, jetstream.ErrStreamNotFound):
				return err
			case s.worker():
				return fmt.Errorf("stream %s: %w", cfg.Name, errNotMade)
			}
		}
		st, err = s.js.CreateOrUpdateStream(ctx, cfg)
		var api *jetstream.APIError
		if s.cfg.Cluster != nil && errors.As(err, &api) && api.ErrorCode == errNameInUse {
			return fmt.Errorf("stream %s: %w", cfg.Name, errMadeMeanwhile)
		}
		return err
	})
	return st, err
}

// untilAnswered repeats a request to make something until the server has
// answered it. At its end it says what the last answer was, if there was one.
func untilAnswered(ctx context.Context, create func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, createWithin)
	defer cancel()
	var answer error
	for {
		attempt, done := context.WithTimeout(ctx, createAttempt)
		err := create(attempt)
		done()
		if !errors.Is(err, context.DeadlineExceeded) {
			answer = err
		} else if answer != nil {
			err = fmt.Errorf("%w: %w", err, answer)
		}
		if err == nil || final(err) {
			return err
		}
		if wait(ctx, retryPause) != nil {
			return err
		}
	}
}

// final reports whether the server would answer the same again.
func final(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode == errNoPeers {
		return false
	}
	return api.Code < 500 || api.ErrorCode == errNoStorage
}

// wait pauses for d unless ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
