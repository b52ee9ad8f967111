package supervise

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheIntensityIsThatOfAListOfAllRestarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Record
		var restarts []int64 // all that ever were
		var chosen Directive
		var seen int
		s := Strategy{
			MaxRestarts: rapid.IntRange(1, 6).Draw(t, "max"),
			Within:      time.Duration(rapid.Int64Range(1, 20).Draw(t, "within")),
			Exceeded:    rapid.SampledFrom([]Directive{Stop, Escalate}).Draw(t, "exceeded"),
			Decide:      func(f Failure) Directive { seen = f.Restarts; return chosen },
		}
		now := rapid.Int64Range(math.MinInt64/2, math.MaxInt64/2).Draw(t, "begin")
		for range rapid.IntRange(1, 100).Draw(t, "failures") {
			now += rapid.Int64Range(0, 12).Draw(t, "later")
			chosen = rapid.SampledFrom([]Directive{Restart, Restart, Restart, Resume, Stop, Escalate}).Draw(t, "directive")

			inWindow := 0
			for _, at := range restarts {
				if now-at <= int64(s.Within) {
					inWindow++
				}
			}
			want := chosen
			if chosen == Restart {
				if inWindow+1 > s.MaxRestarts {
					want = s.Exceeded
				} else {
					restarts = append(restarts, now)
				}
			}

			got := r.Step(now, &s, Failure{Restarts: -1}, nil)
			if got != (Decision{Directive: want}) || seen != inWindow {
				t.Fatalf("at %d: %v with %d restarts seen, want %v with %d", now, got, seen, want, inWindow)
			}
		}
	})
}

func TestTheWaitIsThatOfTheHistoryAndTheJitterStaysWithinItsPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBackoff(t)
		s := Strategy{OnFailure: Restart, Backoff: b}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		factor, reset := b.Factor, b.Reset
		if factor == 0 {
			factor = 2
		}
		if reset == 0 {
			reset = b.Max
		}
		var r Record
		now := rapid.Int64Range(-1e15, 1e15).Draw(t, "begin")
		inARow := 0 // restarts since the last quiet time
		running := now
		for range rapid.IntRange(1, 60).Draw(t, "failures") {
			quiet := rapid.OneOf(
				rapid.Int64Range(0, int64(reset)-1),
				rapid.Int64Range(int64(reset), 2*int64(reset)),
			).Draw(t, "quiet")
			if inARow > 0 && quiet >= int64(reset) {
				inARow = 0
			}
			now = running + quiet
			whole := min(float64(b.Min)*math.Pow(factor, float64(inARow)), float64(b.Max))
			// Each step of the product may lose a part of a nanosecond.
			rounding := 2 + whole*1e-9 + math.Pow(factor, float64(inARow))*float64(inARow)

			random := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "random")
			got := r.Step(now, &s, Failure{}, func() float64 { return random })
			if got.Directive != Restart {
				t.Fatalf("%v", got)
			}
			wait := float64(got.Delay)
			if wait > whole+2 || wait > float64(b.Max) || wait < (1-b.Jitter)*whole-rounding {
				t.Fatalf("restart %d in a row waits %v, want %v to %v: %+v", inARow+1, got.Delay,
					time.Duration((1-b.Jitter)*whole), time.Duration(whole), b)
			}
			running = now + int64(got.Delay)
			inARow++
		}
	})
}

func drawBackoff(t *rapid.T) Backoff {
	b := Backoff{
		Min:    time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "min")),
		Factor: rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1, 10), rapid.Just(math.MaxFloat64)).Draw(t, "factor"),
		Jitter: rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 1)).Draw(t, "jitter"),
	}
	b.Max = time.Duration(rapid.Int64Range(int64(b.Min), int64(MaxDelay)).Draw(t, "max"))
	b.Reset = time.Duration(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, int64(time.Hour))).Draw(t, "reset"))
	return b
}

func TestDecideSeesTheFailureAndWhatItDoesNotKnowStops(t *testing.T) {
	s := Strategy{
		OnFailure: Resume, // not asked where Decide is
		Decide: func(f Failure) Directive {
			switch {
			case errors.Is(f.Reason, context.DeadlineExceeded):
				return Restart
			case f.Type == "room":
				return Escalate
			case f.ID == "hq/d1":
				return Resume
			}
			return Escalate + 1
		},
	}
	for _, c := range []struct {
		failure Failure
		want    Directive
	}{
		{Failure{Type: "room", Reason: context.DeadlineExceeded}, Restart},
		{Failure{Type: "room", ID: "hq/r", Reason: io.EOF}, Escalate},
		{Failure{Type: "device", ID: "hq/d1", Reason: io.EOF}, Resume},
		{Failure{Type: "device", ID: "hq/d2", Reason: io.EOF}, Stop},
	} {
		var r Record
		if got := r.Step(0, &s, c.failure, nil); got != (Decision{Directive: c.want}) {
			t.Errorf("%+v: %v, want %v", c.failure, got, c.want)
		}
	}
}

// I5: a child that never stops failing does not fill the memory.
func TestARecordIsBoundedAndForgetsWhatLeftTheWindow(t *testing.T) {
	s := Strategy{OnFailure: Restart, MaxRestarts: MaxIntensity, Within: time.Hour}
	var r Record
	for now := range int64(100_000) {
		r.Step(now, &s, Failure{}, nil)
	}
	if n := cap(r.window); n > MaxIntensity {
		t.Errorf("room for %d times, want at most %d", n, MaxIntensity)
	}
	s.OnFailure = Resume
	r.Step(int64(2*time.Hour), &s, Failure{}, nil)
	if r.window != nil {
		t.Errorf("%d times of an empty window", len(r.window))
	}
}

func TestNamesAreReadAsTheyAreWritten(t *testing.T) {
	for _, d := range []Directive{Stop, Resume, Restart, Escalate} {
		var read Directive
		if err := read.UnmarshalText([]byte(d.String())); err != nil || read != d {
			t.Errorf("%s: %v, %v", d, read, err)
		}
	}
	read := Restart
	if err := read.UnmarshalText([]byte("Stop")); err == nil || err.Error() != `want one of stop, resume, restart, escalate, got "Stop"` || read != Restart {
		t.Errorf("%v, %v", read, err)
	}
}
