package device_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

const switchable = `
id: test.switch
version: 1
bus: {type: gpio}
tick: 1ms
every: 1s
lines: {out: {direction: out}}
raw: {on: {line: out}}
points: [{name: on, expr: on, kind: boolean}]
commands: {set: {args: {on: {kind: boolean}}, do: [{line: out, level: "on"}], confirm: shadow, idempotent: true}}
`

// contact is a device that notes what it does, slowly.
type contact struct {
	t     *testing.T
	took  []string
	slow  time.Duration
	level int64
	busy  bool
	full  error // of what is begun
}

func (c *contact) begin(what string, end func(), done func(error)) error {
	if c.full != nil {
		return c.full
	}
	if c.busy {
		c.t.Errorf("%s begins while something is in flight", what)
	}
	c.busy = true
	c.took = append(c.took, what)
	time.AfterFunc(c.slow, func() {
		c.busy = false
		end()
		done(nil)
	})
	return nil
}

func (c *contact) Read(into *profile.Sample, done func(error)) error {
	return c.begin("read", func() { into.V, into.Q = []int64{c.level}, 0 }, done)
}

func (c *contact) Do(_ *profile.Command, args []float64, done func(error)) error {
	return c.begin(fmt.Sprint("set ", args[0]), func() { c.level = int64(args[0]) }, done)
}

// on samples a contact and returns what executes its command.
func (b *bench) on(t *testing.T, c *contact, series device.Series) func(on float64) chan error {
	t.Helper()
	set := b.onUntil(t, c, series)
	return func(on float64) chan error { t.Helper(); return set(on, time.Hour) }
}

// onUntil is on for commands that may begin only for so long since the boot.
func (b *bench) onUntil(t *testing.T, c *contact, series device.Series) func(on float64, until time.Duration) chan error {
	t.Helper()
	p, err := profile.Parse("profile.yaml", []byte(switchable))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.sampler.Add(device.Config{Device: t1, Profile: p}, c, series, &rows{}); err != nil {
		t.Fatal(err)
	}
	return func(on float64, until time.Duration) chan error {
		t.Helper()
		own, _ := b.sampler.Profile(t1)
		set, ok := own.Command("set")
		if !ok {
			t.Fatal("the profile has lost its command")
		}
		args, err := set.Bind([]wire.Arg{{Name: "on", Value: wire.Value{Kind: wire.KindBoolean, Number: on}}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		if err := b.sampler.Execute(t1, set, args, until, func(err error) { ended <- err }); err != nil {
			ended <- err
		}
		return ended
	}
}

func TestACommandWaitsForTheReadInFlightAndAReadFollowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := &contact{t: t, slow: 300 * time.Millisecond}
		var s rows
		set := b.on(t, c, &s)
		b.until(1100 * time.Millisecond) // a read is in flight
		first, second := set(1), set(0)
		if err := <-second; !errors.Is(err, device.ErrNotBegun) {
			t.Errorf("a second command while one waits: %v", err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		b.until(1950 * time.Millisecond)
		if got := strings.Join(c.took, ", "); got != "read, set 1, read" {
			t.Errorf("the device saw %s", got)
		}
		s.want(t, "1300 [0] good 0", "1900 [1] good 0")
		if n := b.metric(t, "atrium_device_commands_total", "done"); n != 1 {
			t.Errorf("%d commands counted, want 1", n)
		}
	})
}

func TestACommandThatNobodyTakesTouchesNothingAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := &contact{t: t, full: errors.New("queue is full")}
		set := b.on(t, c, &rows{})
		if err := <-set(1); !errors.Is(err, device.ErrNotBegun) || !strings.Contains(err.Error(), "queue is full") {
			t.Errorf("a bus without room: %v", err)
		}
		if err := b.sampler.Remove(t.Context(), t1); err != nil {
			t.Fatal(err)
		}
		err := b.sampler.Execute(t1, &profile.Command{Name: "set"}, nil, time.Hour, func(error) { t.Error("done was called") })
		if !errors.Is(err, device.ErrNotBegun) || !errors.Is(err, device.ErrUnknown) {
			t.Errorf("a device that is gone: %v", err)
		}
		if _, ok := b.sampler.Profile(t1); ok {
			t.Error("a device that is gone has a profile")
		}
	})
}

// The read in flight may take as long as a bus that is stuck.
func TestACommandWhoseTimePassesWhileItWaitsForTheReadTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := &contact{t: t, slow: 300 * time.Millisecond}
		set := b.onUntil(t, c, &rows{})
		b.until(1100 * time.Millisecond) // a read is in flight, until 1.3 s
		if err := <-set(1, 1300*time.Millisecond); !errors.Is(err, device.ErrLate) || !errors.Is(err, device.ErrNotBegun) {
			t.Errorf("a command that had to begin before the read ended: %v", err)
		}
		b.until(2100 * time.Millisecond) // and another
		if err := <-set(1, 2301*time.Millisecond); err != nil {
			t.Errorf("a command that had time: %v", err)
		}
		b.until(2950 * time.Millisecond)
		if got := strings.Join(c.took, ", "); got != "read, read, read, set 1, read" {
			t.Errorf("the device saw %s", got)
		}
	})
}

// Whoever waits for a command's end gets it, also when Stop runs out of time.
func TestEveryCommandThatWasTakenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, reading := range []bool{true, false} {
			b := newBench(t)
			c := &contact{t: t, slow: 10 * time.Second}
			set := b.on(t, c, &rows{})
			if reading {
				b.until(1100 * time.Millisecond)
			}
			ended := set(1)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := b.sampler.Stop(ctx); err == nil {
				t.Error("Stop did not say what it leaves")
			}
			if err := <-ended; errors.Is(err, device.ErrNotBegun) != reading {
				t.Errorf("reading %v: the command ended with %v", reading, err)
			}
			time.Sleep(20 * time.Second)
		}
	})
}
