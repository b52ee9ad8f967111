package line

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/edge/agent"
)

const (
	// Patience bounds the wait for what must come; the machine may be busy.
	Patience = 90 * time.Second
	// pollEvery is how often a state that is awaited is looked at.
	pollEvery = 20 * time.Millisecond
)

// Pause lets the line run for a while.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Until waits for a state; an error that stays is why it never came.
func Until(ctx context.Context, what string, ok func() (bool, error)) error {
	return Within(ctx, Patience, what, ok)
}

// Within is Until for what takes longer.
func Within(ctx context.Context, limit time.Duration, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		done, err := ok()
		if done && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// Delivered waits until a board has delivered so many readings more.
func (s *Site) Delivered(ctx context.Context, more int) error {
	begin, err := s.delivered()
	if err != nil {
		return err
	}
	return Until(ctx, fmt.Sprintf("%s: %d readings more", s.Board.Name(), more), func() (bool, error) {
		n, err := s.delivered()
		return n >= begin+more, err
	})
}

// delivered is how many readings a board has delivered.
func (s *Site) delivered() (int, error) {
	b, err := os.ReadFile(s.Truth)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return bytes.Count(b, []byte("\n")), err
}

// Status asks a gateway how it is.
func (s *Site) Status(ctx context.Context) (agent.Status, error) {
	return agent.FetchStatus(ctx, strings.TrimPrefix(s.Gateway.URL(), "http://"))
}

// Linked waits until a gateway is connected, or is not.
func (s *Site) Linked(ctx context.Context, want bool) error {
	return Until(ctx, fmt.Sprintf("%s: connected %v", s.Gateway.Name(), want), func() (bool, error) {
		st, err := s.Status(ctx)
		return st.Connected == want, err
	})
}

// Acked waits until the cloud has taken all that a gateway holds now.
func (s *Site) Acked(ctx context.Context) error {
	return s.CaughtUp(ctx, "acks", func(st agent.Status) uint64 { return st.Acked })
}

// CaughtUp waits until a count of a gateway's, with what it dropped, has reached
// what it has sampled by now.
func (s *Site) CaughtUp(ctx context.Context, what string, count func(agent.Status) uint64) error {
	begin, err := s.Status(ctx)
	if err != nil {
		return err
	}
	return Until(ctx, s.Gateway.Name()+": "+what, func() (bool, error) {
		st, err := s.Status(ctx)
		return count(st)+st.Dropped >= begin.Sampled, err
	})
}
