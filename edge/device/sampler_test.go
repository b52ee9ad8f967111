package device_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/hal/regmap"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// thermometer is a device of one register: a byte, in units of 0.5 Cel.
const thermometer = `
id: test.thermometer
version: 1
bus: {type: i2c, addr: [0x48, 0x49]}
tick: 1ms
every: 1s
read: [{tx: {w: [0x00], r: 1}}]
raw: {t: {at: 0, type: s8}}
points:
  - {name: temperature, expr: "t/2", unit: Cel, resolution: 0.5, range: [-40, 40], deadband: 1}
`

var (
	t1 = id.Device{Site: "hq", Name: "t1"}
	t2 = id.Device{Site: "hq", Name: "t2"}
)

func parse(t *testing.T) *profile.Profile {
	t.Helper()
	p, err := profile.Parse("profile.yaml", []byte(thermometer))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wires is an I2C bus that answers what it is told, slowly.
type wires struct {
	mu    sync.Mutex
	value byte
	err   error
	slow  time.Duration
}

func (w *wires) String() string { return "wires" }

func (w *wires) SetSpeed(physic.Frequency) error { return nil }

func (w *wires) Tx(_ uint16, _, r []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	time.Sleep(w.slow)
	for i := range r {
		r[i] = w.value
	}
	return w.err
}

func (w *wires) set(value byte, slow time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.value, w.slow, w.err = value, slow, err
}

// rows is a series that keeps what it got as text.
type rows struct {
	mu     sync.Mutex
	got    []string
	events []string
	fail   error
}

func (r *rows) AppendText(tick int64, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.events = append(r.events, fmt.Sprintf("%d %s", tick, text))
	return nil
}

func (r *rows) Append(tick int64, q uint64, v []int64, suppressed int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.got = append(r.got, fmt.Sprintf("%d %v %s %d", tick, v, wire.QualityOf(q, 0), suppressed))
	return nil
}

func (r *rows) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// want fails unless exactly these rows came since the last call.
func (r *rows) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.got, want) {
		t.Fatalf("rows %q, want %q", r.got, want)
	}
	r.got = nil
}

// bench is a sampler on a real bus owner, in a bubble's time. Its boot was
// 250 ms before the test began.
type bench struct {
	sampler *device.Sampler
	owner   *bus.Owner[i2c.Bus]
	wires   *wires
	reg     *prometheus.Registry
	keep    atomic.Int64 // rows that are due, for each that is kept
	start   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{wires: &wires{value: 40}, reg: prometheus.NewRegistry(), start: time.Now().Add(-250 * time.Millisecond)}
	log := slog.New(slog.DiscardHandler)
	system := actor.NewActorSystem(actor.Config{Address: "gw", Port: 1}, log)
	if err := system.RegisterDispatcher(device.Dispatcher, actor.DeviceDispatcher()); err != nil {
		t.Fatal(err)
	}
	b.owner = bus.New[i2c.Bus]("wires", b.wires, bus.Config{Deadline: time.Minute}, log, nil)
	b.sampler = device.New(system, func() time.Duration { return time.Since(b.start) }, func() int { return int(b.keep.Load()) }, log, b.reg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for _, err := range []error{b.sampler.Stop(ctx), b.owner.Close(ctx), system.Stop(ctx)} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return b
}

// at is a thermometer at an address.
func (b *bench) at(t *testing.T, addr uint16) device.Device {
	return regmap.New(parse(t), addr).On(b.owner)
}

// until sleeps to a time since boot, and lets everything settle there.
func (b *bench) until(boot time.Duration) {
	time.Sleep(boot - time.Since(b.start))
	synctest.Wait()
}

func (b *bench) metric(t *testing.T, name string, labels ...string) int {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (labels == nil || m.GetLabel()[0].GetValue() == labels[0]) {
				return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	t.Fatalf("no metric %s %v", name, labels)
	return 0
}

func TestDevicesAreReadTogetherAtMultiplesOfTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		p := parse(t)
		var s1, s2 rows
		if err := b.sampler.Add(device.Config{Device: t1, Profile: p, Deadband: map[id.Point]float64{"temperature": 0}}, b.at(t, 0x48), &s1, &s1); err != nil {
			t.Fatal(err)
		}
		b.until(1500 * time.Millisecond)
		if err := b.sampler.Add(device.Config{Device: t2, Profile: p, Every: 500 * time.Millisecond}, b.at(t, 0x49), &s2, &s2); err != nil {
			t.Fatal(err)
		}
		b.until(3100 * time.Millisecond)
		s1.want(t, "1000 [40] good 0", "2000 [40] good 0", "3000 [40] good 0")
		s2.want(t, "2000 [40] good 0")
		if n := b.metric(t, "atrium_device_suppressed_rows_total"); n != 2 {
			t.Errorf("%d rows suppressed, want those of 2.5 s and 3 s", n)
		}
		if n := b.metric(t, "atrium_device_samples_total"); n != 6 {
			t.Errorf("%d samples", n)
		}
		b.wires.set(42, 0, nil) // 1 Cel more: the profile's deadband
		b.until(3600 * time.Millisecond)
		s2.want(t, "3500 [42] good 2")
	})
}

func TestAChangeOfADevicesHealthIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var s rows
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t)}, b.at(t, 0x48), &s, &s); err != nil {
			t.Fatal(err)
		}
		b.until(2500 * time.Millisecond)
		b.wires.set(0, 0, errors.New("sysfs-i2c: remote I/O error"))
		b.until(4500 * time.Millisecond)
		s.refuse(errors.New("closed")) // an event that is not taken comes with the next read
		b.wires.set(0, 0, errors.New("sysfs-i2c: connection timed out"))
		b.until(5500 * time.Millisecond)
		s.refuse(nil)
		b.until(6500 * time.Millisecond)
		b.wires.set(80, 0, nil)
		b.until(8500 * time.Millisecond)
		want := []string{"1000 ok", "3000 absent", "6000 faulty: timeout", "7000 ok"}
		if !slices.Equal(s.events, want) {
			t.Errorf("events %q, want %q", s.events, want)
		}
		if n := b.metric(t, "atrium_device_events_total"); n != 4 {
			t.Errorf("%d events counted, want 4", n)
		}
	})
}

func TestUnderPressureRowsAreThinnedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var s rows
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t), Deadband: map[id.Point]float64{"temperature": 0}, Heartbeat: time.Minute}, b.at(t, 0x48), &s, &s); err != nil {
			t.Fatal(err)
		}
		b.until(2500 * time.Millisecond)
		b.keep.Store(4)
		b.until(10500 * time.Millisecond)
		b.keep.Store(1)
		b.until(11500 * time.Millisecond)
		s.want(t, "1000 [40] good 0", "2000 [40] good 0", "6000 [40] good 3", "10000 [40] good 3", "11000 [40] good 0")
		if n := b.metric(t, "atrium_device_thinned_rows_total"); n != 6 {
			t.Errorf("%d rows thinned, want 6", n)
		}
	})
}

func TestTheTimeOfASampleIsWhenItsReadFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wires.set(40, 30*time.Millisecond, nil)
		var s rows
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t)}, b.at(t, 0x48), &s, &s); err != nil {
			t.Fatal(err)
		}
		b.until(1500 * time.Millisecond)
		s.want(t, "1030 [40] good 0")
	})
}

func TestAReadThatOutlivesItsTickIsAnOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wires.set(40, 2500*time.Millisecond, nil)
		var s rows
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t)}, b.at(t, 0x48), &s, &s); err != nil {
			t.Fatal(err)
		}
		b.until(3800 * time.Millisecond)
		s.want(t, "3500 [40] good 0")
		if n := b.metric(t, "atrium_device_overruns_total"); n != 2 {
			t.Errorf("%d overruns, want 2", n)
		}
	})
}

func TestAFailedReadIsABadRowCountedByItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wires.set(0, 0, errors.New("sysfs-i2c: remote I/O error"))
		var s rows
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t)}, b.at(t, 0x48), &s, &s); err != nil {
			t.Fatal(err)
		}
		b.until(2500 * time.Millisecond)
		s.want(t, "1000 [0] bad 0")
		if n := b.metric(t, "atrium_device_errors_total", "nack"); n != 2 {
			t.Errorf("%d nacks counted, want 2", n)
		}
		b.wires.set(100, 0, nil) // 50 Cel: beyond the range
		b.until(3500 * time.Millisecond)
		s.want(t, "3000 [100] out-of-range 1")
	})
}

func TestARowThatTheSeriesRefusesIsCountedAndSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := rows{fail: errors.New("closed")}
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t)}, b.at(t, 0x48), &s, &s); err != nil {
			t.Fatal(err)
		}
		b.until(2500 * time.Millisecond)
		if n := b.metric(t, "atrium_device_dropped_rows_total", "refused"); n != 2 {
			t.Errorf("%d rows dropped, want 2", n)
		}
		s.refuse(nil)
		b.until(3500 * time.Millisecond)
		s.want(t, "3000 [40] good 0")
	})
}

// I1: what was read is in the buffer when Stop returns.
func TestStopFinishesTheReadsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wires.set(40, 700*time.Millisecond, nil)
		var s1, s2 rows
		for _, d := range []struct {
			id     id.Device
			addr   uint16
			series *rows
		}{{t1, 0x48, &s1}, {t2, 0x49, &s2}} {
			if err := b.sampler.Add(device.Config{Device: d.id, Profile: parse(t)}, b.at(t, d.addr), d.series, d.series); err != nil {
				t.Fatal(err)
			}
		}
		b.until(1100 * time.Millisecond) // one on the wires, one in the queue
		if err := b.sampler.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(s1.got) + len(s2.got); got != 2 {
			t.Fatalf("%d rows when Stop returned, want 2", got)
		}
		b.until(5 * time.Second)
		if got := len(s1.got) + len(s2.got); got != 2 {
			t.Fatalf("%d rows, some of them after Stop", got)
		}
		if n := b.metric(t, "atrium_device_devices"); n != 0 {
			t.Errorf("%d devices after Stop", n)
		}
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t)}, b.at(t, 0x48), &s1, &s1); !errors.Is(err, device.ErrStopped) {
			t.Errorf("Add after Stop = %v", err)
		}
	})
}

func TestStopThatRunsOutOfTimeCountsTheReadItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wires.set(40, 10*time.Second, nil)
		var s rows
		if err := b.sampler.Add(device.Config{Device: t1, Profile: parse(t)}, b.at(t, 0x48), &s, &s); err != nil {
			t.Fatal(err)
		}
		b.until(1100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.sampler.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "hq/t1") {
			t.Fatalf("Stop = %v", err)
		}
		b.until(20 * time.Second)
		s.want(t)
		if n := b.metric(t, "atrium_device_dropped_rows_total", "stopped"); n != 1 {
			t.Errorf("%d rows dropped, want 1", n)
		}
	})
}

func TestADeviceCanBeRemovedAndAddedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var s rows
		cfg := device.Config{Device: t1, Profile: parse(t)}
		for i := range 3 {
			if err := b.sampler.Add(cfg, b.at(t, 0x48), &s, &s); err != nil {
				t.Fatal(err)
			}
			if err := b.sampler.Add(cfg, b.at(t, 0x48), &s, &s); !errors.Is(err, device.ErrExists) {
				t.Fatalf("a second Add = %v", err)
			}
			b.until(time.Duration(i+1)*time.Second + 100*time.Millisecond)
			s.want(t, fmt.Sprintf("%d000 [40] good 0", i+1))
			if err := b.sampler.Remove(t.Context(), t1); err != nil {
				t.Fatal(err)
			}
			if err := b.sampler.Remove(t.Context(), t1); !errors.Is(err, device.ErrUnknown) {
				t.Fatalf("a second Remove = %v", err)
			}
		}
	})
}

func TestABadConfigurationIsRefusedWithTheField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for want, cfg := range map[string]device.Config{
			"interval":                {Every: time.Millisecond},
			"heartbeat":               {Heartbeat: -1},
			`no point "pressure"`:     {Deadband: map[id.Point]float64{"pressure": 1}},
			"deadband of temperature": {Deadband: map[id.Point]float64{"temperature": -1}},
		} {
			cfg.Device, cfg.Profile = t1, parse(t)
			if err := b.sampler.Add(cfg, b.at(t, 0x48), &rows{}, &rows{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Add = %v, want %q", err, want)
			}
		}
		if n := b.metric(t, "atrium_device_devices"); n != 0 {
			t.Errorf("%d devices", n)
		}
	})
}

func TestGridIsTheIntervalInTicks(t *testing.T) {
	p := parse(t)
	for want, cfg := range map[uint64]device.Config{1000: {Profile: p}, 250: {Profile: p, Every: 250 * time.Millisecond}} {
		if got := cfg.Grid(); got != want {
			t.Errorf("Grid = %d, want %d", got, want)
		}
	}
}
