package journal

import (
	"context"
	"errors"
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
)

// untilAnswered repeats a request to make something until the server has
// answered it.
func untilAnswered(ctx context.Context, create func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, createWithin)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, createAttempt)
		err := create(attempt)
		done()
		var api *jetstream.APIError
		if err == nil || errors.As(err, &api) && (api.Code < 500 || api.ErrorCode == errNoStorage) {
			return err
		}
		if wait(ctx, retryPause) != nil {
			return err
		}
	}
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
