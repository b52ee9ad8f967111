package journal

import (
	"context"
	"errors"
	"time"
)

const (
	// askFirst bounds the first try of a read in a cluster, and each further one
	// has twice its time: what is asked while a leader is elected nobody answers,
	// what is asked after that somebody does at once.
	askFirst = 500 * time.Millisecond
	// askMost is the longest of them: an answer that takes as long comes from a
	// disk that fails, and what got lost is not waited for.
	askMost = 4 * time.Second
	// askPause parts the tries where the answer is that there is no leader.
	askPause = 50 * time.Millisecond
)

// asked repeats a read until it is answered or the caller's time is over. With
// one replica there is nobody else to wait for.
func asked[T any](ctx context.Context, replicas int, read func(context.Context) (T, error)) (T, error) {
	if replicas == 1 {
		return read(ctx)
	}
	for limit := askFirst; ; limit = min(2*limit, askMost) {
		attempt, cancel := context.WithTimeout(ctx, limit)
		answer, err := read(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(unanswered(err), ErrUnavailable) {
			return answer, err
		}
		if wait(ctx, askPause) != nil {
			return answer, err
		}
	}
}
