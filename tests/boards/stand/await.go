package stand

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const pollEvery = 100 * time.Millisecond

// Await waits until ok says yes, for a limit at most; it gives up early if the
// board ends. An error of ok is one of the moment, and told with the last
// failure; show, which may be nil, tells how far it came.
func Await(ctx context.Context, ended <-chan struct{}, limit time.Duration, what string, ok func(context.Context) (bool, error), show func() string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	said := func() string {
		if show == nil {
			return ""
		}
		return ": it shows " + show()
	}
	var failed error
	for {
		done, err := ok(ctx)
		if done && err == nil {
			return nil
		}
		if ctx.Err() == nil {
			failed = err // not that the time is over, which is said anyway
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.Join(fmt.Errorf("the board ended before %s%s", what, said()), failed)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not within %s: %s%s", limit, what, said()), failed)
		}
	}
}
