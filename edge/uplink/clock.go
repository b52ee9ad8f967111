package uplink

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// clock is what a connection asks about the time.
type clock struct {
	greeted time.Time // when hello was sent, which welcome answers

	mu       sync.Mutex
	question uint64 // the latest
	asked    time.Time
}

// ask makes the next question.
func (k *clock) ask() wire.AskTime {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.question++
	k.asked = time.Now()
	return wire.AskTime{Question: k.question}
}

// askedAt returns when a question was sent, false if it is not the latest.
func (k *clock) askedAt(question uint64) (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked, question == k.question
}

// askTime asks for the time at once, as welcome waited for the journal, and
// again while the connection lasts.
func (c *connection) askTime(ctx context.Context) error {
	if c.u.cfg.OnTime == nil {
		return nil
	}
	for {
		question := c.clock.ask()
		if err := c.say(question.Append(nil)); err != nil {
			return fmt.Errorf("ask-time: %w", err)
		}
		select {
		case <-time.After(wire.TimeEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// answered takes a time. One that answers nothing, or what was asked again
// since, is counted.
func (c *connection) answered(m wire.Time) {
	asked, ok := c.clock.askedAt(m.Question)
	if !ok {
		c.u.metrics.strayTimes.Inc()
		return
	}
	c.learnTime(m.Now, asked)
}

// learnTime passes on the time at a gate, in Unix milliseconds, read at some
// moment since asked: most likely half a shortest round trip ago.
func (c *connection) learnTime(now uint64, asked time.Time) {
	if c.u.cfg.OnTime == nil || now > math.MaxInt64 {
		return
	}
	span := time.Since(asked)
	way := min(c.conn.Path().MinRTT, span) / 2
	c.u.cfg.OnTime(time.UnixMilli(int64(now)).Add(way), span-way+time.Millisecond)
}
