package chip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"pgregory.net/rapid"
)

// newLine returns line 4 of a chip, with that part.
func newLine(t *testing.T, p Part) gpio.PinIO {
	t.Helper()
	c, err := NewGPIO("c", map[int]Part{4: p})
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Line(4)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tape notes what a relay's contacts do, in milliseconds since it was made.
type tape struct {
	start time.Time
	moves []string
}

func (p *tape) contacts(at time.Time, closed bool) {
	p.moves = append(p.moves, fmt.Sprintf("%d %v", at.Sub(p.start).Milliseconds(), closed))
}

func (p *tape) want(t *testing.T, moves ...string) {
	t.Helper()
	if !slices.Equal(p.moves, moves) {
		t.Errorf("contacts %q, want %q", p.moves, moves)
	}
	p.moves = nil
}

func TestARelaysContactsFollowItsCoilAfterTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tape := &tape{start: time.Now()}
		l := newLine(t, NewRelay(tape.contacts))
		out := func(level gpio.Level) {
			t.Helper()
			if err := l.Out(level); err != nil {
				t.Fatal(err)
			}
		}
		out(gpio.Low)
		tape.want(t)
		out(gpio.High)
		out(gpio.High)
		tape.want(t, "10 true")
		time.Sleep(time.Second)
		out(gpio.Low)
		tape.want(t, "1005 false")
		time.Sleep(time.Second)

		// The armature was on its way and is taken back.
		out(gpio.High)
		time.Sleep(RelayOperate - time.Millisecond)
		out(gpio.Low)
		tape.want(t, "2010 true", "2009 false")
		time.Sleep(time.Second)
		out(gpio.High)
		tape.want(t, "3019 true")
	})
}

// reference/hardware.md: what a program that reads its output does to a relay.
func TestReadingAnOutputReleasesItsRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tape := &tape{start: time.Now()}
		l := newLine(t, NewRelay(tape.contacts))
		if err := l.Out(gpio.High); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := l.Read(); got != gpio.High || l.Pull() != gpio.PullUp {
			t.Errorf("read %v with %v, want the pull-up's level", got, l.Pull())
		}
		tape.want(t, "10 true", "1005 false")
	})
}

func TestALineWithoutAPartFollowsItsPull(t *testing.T) {
	l := newLine(t, nil)
	for pull, want := range map[gpio.Pull]gpio.Level{gpio.PullUp: gpio.High, gpio.PullDown: gpio.Low, gpio.Float: gpio.Low} {
		if err := l.In(pull, gpio.NoEdge); err != nil || l.Read() != want {
			t.Errorf("%v reads %v, %v", pull, l.Read(), err)
		}
	}
	if err := l.In(gpio.PullUp, gpio.NoEdge); err != nil {
		t.Fatal(err)
	}
	if err := l.In(gpio.PullNoChange, gpio.NoEdge); err != nil || l.Read() != gpio.High {
		t.Errorf("no change lost the pull-up: %v", err)
	}
}

func TestWhatALineCannotDoIsRefused(t *testing.T) {
	l := newLine(t, nil)
	if err := l.In(gpio.Float, gpio.RisingEdge); err == nil || !strings.Contains(err.Error(), "edges are not simulated") {
		t.Errorf("In with an edge = %v", err)
	}
	if err := l.PWM(gpio.DutyHalf, 0); err == nil || l.WaitForEdge(-1) {
		t.Errorf("PWM = %v", err)
	}
	c, err := NewGPIO("c", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int{-1, GPIOLines} {
		if _, err := c.Line(offset); err == nil || !strings.Contains(err.Error(), "c has the lines 0 to 53") {
			t.Errorf("Line(%d) = %v", offset, err)
		}
		if _, err := NewGPIO("c", map[int]Part{offset: NewRelay(nil)}); err == nil {
			t.Errorf("a part at %d was accepted", offset)
		}
	}
}

// at is a Movement of fixed moments, in milliseconds after zero.
func at(zero time.Time, ms ...int) Movement {
	return func(after, until time.Time) (time.Time, bool) {
		for _, m := range ms {
			if t := zero.Add(time.Duration(m) * time.Millisecond); t.After(after) && !t.After(until) {
				return t, true
			}
		}
		return time.Time{}, false
	}
}

func TestAPIRHoldsRetriggersAndIsBlindForItsLockTime(t *testing.T) {
	zero := time.Unix(1e9, 0)
	// Hold 3 s: 1 s to 4 s, prolonged at 3 s to 6 s; locked until 8.5 s.
	p := newPIR(at(zero, 1000, 3000, 7000, 9000), 3*time.Second, zero)
	for _, step := range []struct {
		ms   int
		want gpio.Level
	}{
		{0, gpio.Low},
		{999, gpio.Low},
		{1000, gpio.High},
		{4000, gpio.High},
		{5999, gpio.High},
		{6000, gpio.Low},
		{7500, gpio.Low}, // moved at 7 s, unseen
		{8999, gpio.Low},
		{9000, gpio.High},
		{12000, gpio.Low},
		{3600_000, gpio.Low},
	} {
		if got, ok := p.Level(zero.Add(time.Duration(step.ms) * time.Millisecond)); !ok || got != step.want {
			t.Errorf("at %d ms: %v, %v, want %v", step.ms, got, ok, step.want)
		}
	}
}

func TestAPIRsHoldTimeIsWhatItsPotentiometerCanBeSetTo(t *testing.T) {
	zero := time.Unix(1e9, 0)
	for hold, want := range map[time.Duration]time.Duration{0: MinHold, time.Hour: MaxHold, time.Minute: time.Minute} {
		p := newPIR(at(zero, 1000), hold, zero)
		begin := zero.Add(time.Second)
		if l, _ := p.Level(begin.Add(want - 1)); l != gpio.High {
			t.Errorf("hold %v is low before %v", hold, want)
		}
		if l, _ := p.Level(begin.Add(want)); l != gpio.Low {
			t.Errorf("hold %v is high after %v", hold, want)
		}
	}
}

// How often a host looks must not change what it sees.
func TestAPIRDoesNotDependOnWhenItIsRead(t *testing.T) {
	zero := time.Unix(1e9, 0)
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.SliceOfN(rapid.IntRange(1, 60_000), 0, 40).Draw(t, "movements")
		slices.Sort(ms)
		hold := time.Duration(rapid.IntRange(2500, 10_000).Draw(t, "hold")) * time.Millisecond
		often := newPIR(at(zero, ms...), hold, zero)
		looks := rapid.SliceOfN(rapid.IntRange(0, 70_000), 1, 20).Draw(t, "looks")
		slices.Sort(looks)
		var last gpio.Level
		for _, look := range looks {
			last, _ = often.Level(zero.Add(time.Duration(look) * time.Millisecond))
		}
		end := zero.Add(time.Duration(looks[len(looks)-1]) * time.Millisecond)
		if once, _ := newPIR(at(zero, ms...), hold, zero).Level(end); once != last {
			t.Fatalf("read once %v, read %d times %v", once, len(looks), last)
		}
	})
}

// After hours without a look only the last minutes count, and the answer is
// that of a detector which was powered on then.
func TestAPIRThatNobodyReadForgetsOldMovements(t *testing.T) {
	zero := time.Unix(1e9, 0)
	asked := 0
	p := newPIR(func(after, until time.Time) (time.Time, bool) {
		asked++
		at := after.Add(time.Second)
		return at, !at.After(until)
	}, MinHold, zero)
	if l, _ := p.Level(zero.Add(24 * time.Hour)); l != gpio.High || asked > 700 {
		t.Errorf("%v after %d questions", l, asked)
	}
}

func FuzzLevelPIR(f *testing.F) {
	f.Add([]byte{1, 9, 200, 3}, uint16(2500))
	f.Fuzz(func(t *testing.T, gaps []byte, hold uint16) {
		now := time.Unix(1e9, 0)
		every := func(after, until time.Time) (time.Time, bool) {
			next := after.Truncate(7 * time.Second).Add(7 * time.Second)
			return next, !next.After(until)
		}
		p := newPIR(every, time.Duration(hold)*time.Millisecond, now)
		for _, gap := range gaps {
			now = now.Add(time.Duration(gap) * time.Duration(gap) * 50 * time.Millisecond)
			if _, ok := p.Level(now); !ok {
				t.Fatal("a detector holds its line always")
			}
		}
	})
}
