package supervise

import (
	"math"
	"time"
)

// MaxDelay bounds a Backoff's Max. A child that may rest for longer than a day
// is better stopped: nobody watches a restart that far away.
const MaxDelay = 24 * time.Hour

// Backoff is how long to wait before a restart: Min at first, Factor times as
// long each time, at most Max. Jitter takes a random part off, so that what
// failed together does not come back together (M. Brooker, "Exponential Backoff
// And Jitter", AWS Architecture Blog, 2015). The zero Backoff does not wait.
type Backoff struct {
	Min, Max time.Duration // more than 0; at least Min and at most MaxDelay
	// Factor is at least 1; 0 means 2.
	Factor float64
	// Jitter is the largest part taken off, 0 to 1: the wait lies between
	// 1-Jitter times the undisturbed one and the whole of it. 1 is Brooker's
	// "full jitter".
	Jitter float64
	// Reset is how long the child must run after a restart for the next wait to
	// be Min again; 0 means Max.
	Reset time.Duration
}

func (b Backoff) check() error {
	if b == (Backoff{}) {
		return nil
	}
	switch {
	case b.Min <= 0:
		return wrong("Backoff.Min", "want more than 0, got %v", b.Min)
	case b.Max < b.Min || b.Max > MaxDelay:
		return wrong("Backoff.Max", "want %v (the minimum) to %v, got %v", b.Min, MaxDelay, b.Max)
	case b.Factor != 0 && !(b.Factor >= 1 && b.Factor <= math.MaxFloat64):
		return wrong("Backoff.Factor", "want 1 or more, or 0 for 2, got %v", b.Factor)
	case !(b.Jitter >= 0 && b.Jitter <= 1):
		return wrong("Backoff.Jitter", "want 0 to 1, got %v", b.Jitter)
	case b.Reset < 0:
		return wrong("Backoff.Reset", "want 0 (as the maximum) or more, got %v", b.Reset)
	}
	return nil
}

// backoff is where a child stands in its waits; the zero one is at Min.
type backoff struct {
	last  time.Duration // the last wait, without jitter; 0 before the first
	until int64         // when it ended
}

// next returns the wait before a restart that is decided at now.
func (w *backoff) next(now int64, b Backoff, random func() float64) time.Duration {
	if b.Min == 0 {
		*w = backoff{}
		return 0
	}
	wait := b.Min
	if w.last > 0 && now-w.until < int64(b.reset()) {
		wait = b.after(w.last)
	}
	w.last = wait
	if b.Jitter > 0 {
		wait -= time.Duration(b.Jitter * random() * float64(wait))
	}
	w.until = now + int64(wait)
	return wait
}

// after returns the wait that follows wait.
func (b Backoff) after(wait time.Duration) time.Duration {
	factor := b.Factor
	if factor == 0 {
		factor = 2
	}
	grown := factor * float64(wait)
	if grown >= float64(b.Max) { // also where it does not fit in a Duration
		return b.Max
	}
	return time.Duration(grown)
}

func (b Backoff) reset() time.Duration {
	if b.Reset == 0 {
		return b.Max
	}
	return b.Reset
}
