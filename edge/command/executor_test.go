package command_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/edge/command"
	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const relay = `
id: test.relay
version: 1
bus: {type: gpio}
tick: 1ms
every: 1s
lines: {out: {direction: out}}
raw: {on: {line: out}}
points: [{name: on, expr: on, kind: boolean}]
commands: {set: {do: [{line: out, level: "1"}], confirm: shadow}}
`

// field is devices of that profile; a command to "stuck" takes an hour, and one
// to "late" has missed its time.
type field struct {
	profile *profile.Profile
	mu      sync.Mutex
	begun   []string
}

func (f *field) Profile(id.Device) (*profile.Profile, bool) { return f.profile, true }

func (f *field) Execute(dev id.Device, _ *profile.Command, _ []float64, _ time.Duration, done func(error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = append(f.begun, dev.Name)
	slow := time.Millisecond
	if dev.Name == "stuck" {
		slow = time.Hour
	}
	if dev.Name == "late" {
		return errors.Join(device.ErrNotBegun, device.ErrLate)
	}
	time.AfterFunc(slow, func() { done(nil) })
	return nil
}

func (f *field) saw() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.begun, " ")
}

type bench struct {
	t     *testing.T
	disk  *buffertest.Disk
	buf   *buffer.Buffer
	field *field
	now   func() time.Duration
	reg   *prometheus.Registry
	x     *command.Executor
}

func parse(t *testing.T, text string) *profile.Profile {
	t.Helper()
	p, err := profile.Parse("profile.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, disk: buffertest.NewDisk(1), field: &field{profile: parse(t, relay)}}
	store, err := b.disk.Open()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	b.now = func() time.Duration { return time.Since(start) }
	if b.buf, err = buffer.Open(t.Context(), buffer.Config{Now: b.now, Boot: id.Boot{1}}, store, quiet, nil); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(func() {
		b.x.Close()
		if err := b.buf.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

var quiet = slog.New(slog.DiscardHandler)

func (b *bench) start() {
	b.t.Helper()
	var err error
	b.reg = prometheus.NewRegistry()
	if b.x, err = command.New(b.t.Context(), command.Config{Boot: id.Boot{1}, Now: b.now}, b.buf.Ledger(), b.field, quiet, b.reg); err != nil {
		b.t.Fatal(err)
	}
}

// send sends a command, and lets everything settle.
func (b *bench) send(n byte, name string) {
	b.x.Take(wire.Command{ID: id.Command{n}, Device: id.Device{Site: "hq", Name: name}, Name: "set", Remaining: 60_000})
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// want checks the states of the results that are unsettled.
func (b *bench) want(states ...wire.ResultState) {
	b.t.Helper()
	got := b.x.Unsettled()
	if len(got) != len(states) {
		b.t.Fatalf("results %+v, want %v", got, states)
	}
	for i, s := range states {
		if got[i].State != s {
			b.t.Errorf("result %+v, want %v", got[i], s)
		}
	}
}

func (b *bench) metric(name, label string) float64 {
	b.t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	b.t.Fatalf("no metric %s %s", name, label)
	return 0
}

// I6: a full disk touches nothing, and the cloud is told.
func TestAFullDiskRefusesCommandsWithTheReasonUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.disk.SetFree(1 << 20)
		b.send(1, "lamp")
		b.want(wire.ResultRefused)
		if text := b.x.Unsettled()[0].Text; !strings.Contains(text, "at its reserve") || b.field.saw() != "" {
			t.Errorf("refused with %q, the devices saw %q", text, b.field.saw())
		}
		writes := b.metric("atrium_command_write_errors_total", "")
		if writes == 0 {
			t.Error("no failed write was counted")
		}
		b.disk.SetFree(1 << 30)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		before, _ := b.disk.Writes()
		time.Sleep(10 * time.Second)
		if after, _ := b.disk.Writes(); after != before {
			t.Errorf("%d writes more, with nothing to write", after-before)
		}
		b.send(1, "lamp") // refused for good: its sender may send another
		b.send(2, "lamp")
		b.want(wire.ResultRefused, wire.ResultDone)
	})
}

func TestAResultIsWrittenAgainAlsoWhileCommandsKeepComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.send(1, "stuck")
		b.disk.SetFree(1 << 20)
		time.Sleep(time.Hour)
		synctest.Wait()
		b.want()
		b.disk.SetFree(1 << 30)
		for range 6 {
			time.Sleep(500 * time.Millisecond)
			b.send(1, "stuck")
		}
		b.want(wire.ResultDone)
	})
}

func TestADeviceThatIsStuckDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for n, name := range []string{"stuck", "stuck", "lamp", "fan", "lamp"} {
			b.send(byte(n+1), name)
		}
		b.want(wire.ResultDone, wire.ResultDone, wire.ResultDone)
		if got := b.field.saw(); got != "stuck lamp fan lamp" {
			t.Errorf("the devices saw %q", got)
		}
		if n := b.metric("atrium_command_pending", ""); n != 2 {
			t.Errorf("%v commands pending, want 2", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		b.want(wire.ResultDone, wire.ResultDone, wire.ResultDone, wire.ResultDone, wire.ResultExpired)
	})
}

func TestACommandThatMissedItsTimeAtTheDeviceHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.send(1, "late")
		b.want(wire.ResultExpired)
	})
}

// A stop is as a crash to what has not begun: its sender sends it again.
func TestAStopForgetsWhatWaitsAndRefusesWhatIsAboutToBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.send(1, "stuck")
		b.send(2, "stuck")
		b.disk.SetLatency(time.Second)
		b.send(3, "lamp") // its beginning is being written
		b.x.Seal()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.want(wire.ResultRefused)
		if text := b.x.Unsettled()[0].Text; text != "the gateway stops" {
			t.Errorf("refused with %q", text)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		b.want(wire.ResultRefused, wire.ResultDone)
		if got := b.field.saw(); got != "stuck" {
			t.Errorf("the devices saw %q", got)
		}
		kept, err := b.buf.Ledger().Load()
		if err != nil || len(kept) != 2 {
			t.Errorf("the ledger has %+v, %v", kept, err)
		}
	})
}

// What may be done twice is for the profile to say that does it.
func TestWhatExecutedIsDoneAgainOnlyIfItsProfileStillCallsItIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, still := range []bool{true, false} {
			b := newBench(t)
			twice := parse(t, strings.Replace(relay, "confirm:", "idempotent: true, confirm:", 1))
			b.field.profile = twice
			b.send(1, "stuck")
			b.x.Close()
			if !still {
				b.field.profile = parse(t, relay)
			}
			b.start()
			time.Sleep(time.Second)
			synctest.Wait()
			if still {
				b.want()
			} else {
				b.want(wire.ResultUnknown)
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// A device that a reload changes is away for a moment, and no reason to refuse.
func TestWhileTheDevicesChangeNoCommandIsTakenOrBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.disk.SetLatency(time.Second)
		b.send(1, "lamp") // its beginning is being written
		b.x.Pause()
		whole := b.field.profile
		b.field.profile = parse(t, strings.Replace(relay, "set:", "push:", 1))
		b.send(2, "lamp")
		if n := b.metric("atrium_command_dropped_total", "reloading"); n != 1 {
			t.Errorf("%v not taken, want 1", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.want()
		b.field.profile = whole
		b.x.Resume()
		b.send(2, "lamp")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.want(wire.ResultDone, wire.ResultDone)
	})
}

// What is forgotten goes with the next write, and so may what comes again.
func TestACommandThatComesAgainInTheWriteThatForgetsItIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.send(1, "lamp") // remembered for its minute and an hour
		b.x.Settled([]id.Command{{1}})
		synctest.Wait()
		time.Sleep(time.Minute + time.Hour - time.Second)
		b.disk.SetLatency(5 * time.Second)
		b.send(2, "fan") // writes for 5 s
		time.Sleep(2 * time.Second)
		b.send(3, "fan") // forgets the first
		b.send(1, "stuck")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.field.saw(); got != "lamp fan stuck fan" {
			t.Fatalf("the devices saw %q", got)
		}
		kept, err := b.buf.Ledger().Load()
		if err != nil || len(kept) != 3 || kept[0].ID != (id.Command{1}) {
			t.Fatalf("while 1 executes the ledger has %+v, %v", kept, err)
		}
		if r, err := command.ParseRecord(kept[0].Value); err != nil || r.Phase != command.Executing {
			t.Errorf("while 1 executes the ledger says %+v, %v", r, err)
		}
	})
}

// I5: what is not taken is counted, and its sender sends it again.
func TestCommandsThatComeFasterThanTheyAreWrittenAreNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.disk.SetLatency(time.Second)
		b.send(0, "lamp") // its write takes a second
		for n := range byte(200) {
			b.x.Take(wire.Command{ID: id.Command{n, 1}, Device: id.Device{Site: "hq", Name: "fan"}, Name: "set", Remaining: 1})
		}
		if n := b.metric("atrium_command_dropped_total", "busy"); n != 200-128 {
			t.Errorf("%v not taken, want 72", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := b.x.Stats(); s.Executed != 129 || s.Pending != 0 {
			t.Errorf("stats %+v", s)
		}
		b.x.Seal()
		b.send(201, "lamp")
		if n := b.metric("atrium_command_dropped_total", "stopping"); n != 1 {
			t.Errorf("%v not taken while it stops, want 1", n)
		}
	})
}
