package uplink_test

import (
	"context"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/command"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// lamp is a field of one device, which takes its time.
type lamp struct {
	profile *profile.Profile
	slow    time.Duration
	begun   []string
}

func newLamp(t *testing.T, slow time.Duration, idempotent string) *lamp {
	t.Helper()
	p, err := profile.Parse("profile.yaml", []byte(`
id: test.lamp
version: 1
bus: {type: gpio}
tick: 1ms
every: 1s
lines: {out: {direction: out}}
raw: {on: {line: out}}
points: [{name: on, expr: on, kind: boolean}]
commands: {set: {do: [{line: out, level: "1"}], confirm: shadow, idempotent: `+idempotent+`}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return &lamp{profile: p, slow: slow}
}

func (l *lamp) Profile(dev id.Device) (*profile.Profile, bool) { return l.profile, dev.Name == "lamp" }

func (l *lamp) Execute(_ id.Device, c *profile.Command, _ []float64, _ time.Duration, done func(error)) error {
	l.begun = append(l.begun, c.Name)
	time.AfterFunc(l.slow, func() { done(nil) })
	return nil
}

// executor is what a process of the gateway runs on a store.
func executor(t *testing.T, store *memory, l *lamp, start time.Time) *command.Executor {
	t.Helper()
	now := func() time.Duration { return time.Since(start) }
	buf, err := buffer.Open(t.Context(), buffer.Config{Now: now, Boot: id.Boot{1}}, store, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := command.New(t.Context(), command.Config{Boot: id.Boot{1}, Now: now}, buf.Ledger(), l, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.Close()
		if err := buf.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return x
}

func TestACommandIsExecutedOnceAndItsResultReachesTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLamp(t, time.Second, "false")
		x := executor(t, newMemory(), l, time.Now())
		r := newRig(t, settings{commands: x})
		r.start()
		time.Sleep(time.Second)
		r.gate.tell(order(7), order(7))
		time.Sleep(500 * time.Millisecond)
		r.gate.tell(order(7))
		time.Sleep(2 * time.Second)
		r.gate.tell(settle(7, 7))
		time.Sleep(time.Second)
		if got := r.gate.answered(); got != "1:7" || len(l.begun) != 1 {
			t.Errorf("results %q, begun %d times", got, len(l.begun))
		}
		got := r.gate.answers[0].result
		if got.State != wire.ResultDone || got.Confirmed != wire.ConfirmShadow {
			t.Errorf("result %+v", got)
		}
		if s := x.Stats(); s.Executed != 1 || s.Unsettled != 0 || s.Pending != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// The gateway dies between the command's begin and its result: the next process
// has the store as it was then.
func TestWhatExecutedWhenTheGatewayDiedIsUnknownOrDoneAgain(t *testing.T) {
	for idempotent, want := range map[string]wire.ResultState{"false": wire.ResultUnknown, "true": wire.ResultDone} {
		synctest.Test(t, func(t *testing.T) {
			start, store := time.Now(), newMemory()
			first := newLamp(t, time.Hour, idempotent)
			dying := executor(t, store, first, start)
			dying.Take(wire.Command{ID: id.Command{7}, Device: id.Device{Site: "hq", Name: "lamp"}, Name: "set", Remaining: 60_000})
			synctest.Wait()
			if len(first.begun) != 1 {
				t.Fatalf("begun %d times", len(first.begun))
			}
			left := newMemory()
			maps.Copy(left.values, store.values)

			second := newLamp(t, time.Second, idempotent)
			r := newRig(t, settings{commands: executor(t, left, second, start)})
			r.start()
			time.Sleep(5 * time.Second)
			if got := r.gate.answered(); got != "1:7" {
				t.Fatalf("results %q\n%s", got, r.log)
			}
			if got := r.gate.answers[0].result; got.State != want {
				t.Errorf("idempotent %s: %s %s", idempotent, got.State, got.Text)
			}
			if again := len(second.begun) == 1; again != (idempotent == "true") {
				t.Errorf("idempotent %s: begun again %d times", idempotent, len(second.begun))
			}
			time.Sleep(2 * time.Hour) // the first lamp's end, which nobody waits for
		})
	}
}

// I6: what cannot be done says what can.
func TestACommandThatCannotBeDoneIsRefusedInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLamp(t, 0, "false")
		r := newRig(t, settings{commands: executor(t, newMemory(), l, time.Now())})
		r.start()
		time.Sleep(time.Second)
		for n, c := range []wire.Command{
			{Device: id.Device{Site: "hq", Name: "fan"}, Name: "set"},
			{Device: id.Device{Site: "hq", Name: "lamp"}, Name: "blink"},
			{Device: id.Device{Site: "hq", Name: "lamp"}, Name: "set", Args: []wire.Arg{{Name: "on", Value: wire.Value{Kind: wire.KindBoolean}}}},
		} {
			c.ID, c.Remaining = id.Command{byte(n)}, 1000
			r.gate.tell(c.Append(nil))
		}
		time.Sleep(time.Second)
		r.gate.mu.Lock()
		defer r.gate.mu.Unlock()
		if len(r.gate.answers) != 3 || len(l.begun) != 0 {
			t.Fatalf("%d results, begun %d times", len(r.gate.answers), len(l.begun))
		}
		for n, want := range []string{
			"no device hq/fan on this gateway",
			`profile test.lamp has no command "blink", want set`,
			`profile: command set: unknown argument "on", want none`,
		} {
			if got := r.gate.answers[n].result; got.State != wire.ResultRefused || got.Text != want {
				t.Errorf("%s: %q, want %q", got.State, got.Text, want)
			}
		}
	})
}
