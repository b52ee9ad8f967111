package actor_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
)

// boundStep is one move against an actor that handles a message only when it
// is released.
type boundStep struct {
	kind int // 0 Tell, 1 TellBatch of n, 2 release n percent of what waits
	n    int
}

// The bound of a mailbox is exact: at every moment an actor has room for
// MailboxSize minus what it accepted and did not finish (I5).
func TestAMailboxAcceptsExactlyItsSizeAndRefusesTheRest(t *testing.T) {
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) boundStep {
		kind := rapid.IntRange(0, 2).Draw(t, "kind")
		return boundStep{kind, rapid.IntRange(0, []int{0, 40, 100}[kind]).Draw(t, "n")}
	}), 1, 60)
	rapid.Check(t, func(rt *rapid.T) {
		cfg := actor.DispatcherConfig{
			Throughput:     rapid.IntRange(1, 40).Draw(rt, "throughput"),
			MailboxSize:    rapid.IntRange(1, 70).Draw(rt, "size"),
			MaxConcurrency: 1,
		}
		script := steps.Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) { err = playBound(t, cfg, script) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func playBound(t *testing.T, cfg actor.DispatcherConfig, script []boundStep) error {
	s, reg := newSystem(t)
	if err := s.RegisterDispatcher("d", cfg); err != nil {
		return err
	}
	release := make(chan struct{})
	defer close(release)
	var got []int
	ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
		<-release
		got = append(got, ctx.Message())
	}).WithDispatcher("d"), "a")

	next, waiting, refused, done := 0, 0, 0, 0
	for _, step := range script {
		switch step.kind {
		case 0:
			err := ref.Tell(next)
			if want := waiting < cfg.MailboxSize; (err == nil) != want {
				return fmt.Errorf("%d of %d wait: Tell = %w", waiting, cfg.MailboxSize, err)
			}
			if err == nil {
				next++
				waiting++
			} else {
				refused++
			}
		case 1:
			batch := make([]int, step.n)
			for i := range batch {
				batch[i] = next + i
			}
			n, err := ref.TellBatch(batch)
			if want := min(len(batch), cfg.MailboxSize-waiting); n != want {
				return fmt.Errorf("%d of %d wait: TellBatch of %d accepted %d, want %d", waiting, cfg.MailboxSize, len(batch), n, want)
			}
			if (err == nil) != (n == len(batch)) || (err != nil && !errors.Is(err, actor.ErrMailboxFull)) {
				return fmt.Errorf("TellBatch accepted %d of %d with %w", n, len(batch), err)
			}
			next += n
			waiting += n
			refused += len(batch) - n
		case 2:
			n := waiting * step.n / 100
			for range n {
				release <- struct{}{}
			}
			waiting -= n
			done += n
			synctest.Wait()
		}
	}
	for i := range done {
		if got[i] != i {
			return fmt.Errorf("message %d arrived as number %d", got[i], i)
		}
	}
	if n := refusals(t, reg, "mailbox_full"); n != refused {
		return fmt.Errorf("%d refusals are counted, want %d", n, refused)
	}
	return nil
}
