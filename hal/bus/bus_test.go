package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a bus whose transactions take the time that their first written
// byte says, in units of 10 ms, and fail for addresses above 0x70.
type slow struct{ active, most atomic.Int32 }

func (s *slow) String() string                  { return "slow" }
func (s *slow) SetSpeed(physic.Frequency) error { return nil }

func (s *slow) Tx(addr uint16, w, _ []byte) error {
	if n := s.active.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.active.Add(-1)
	if len(w) > 0 {
		time.Sleep(time.Duration(w[0]) * 10 * time.Millisecond)
	}
	if addr > 0x70 {
		return errors.New("sysfs-i2c: remote I/O error")
	}
	return nil
}

// at is the address of a device on I2C.
func at(addr uint16) Address { return Address(fmt.Sprintf("%#02x", addr)) }

// steps is a task: a transaction of each duration (in 10 ms), with a wait
// after each.
type steps struct {
	addr  uint16
	took  []byte
	wait  time.Duration
	at    int
	trace func(string)

	abandoned bool
}

func (s *steps) Step(b i2c.Bus) (time.Duration, bool, error) {
	if s.trace != nil {
		s.trace(fmt.Sprintf("%02x.%d", s.addr, s.at))
	}
	err := b.Tx(s.addr, s.took[s.at:s.at+1], nil)
	s.at++
	return s.wait, s.at == len(s.took), err
}

func (s *steps) Abandon() { s.abandoned = true }

type rig struct {
	t   *testing.T
	o   *Owner[i2c.Bus]
	bus *slow
	reg *prometheus.Registry
}

// inBubble runs a test of an owner in fake time and closes it at the end.
func inBubble(t *testing.T, cfg Config, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, bus: &slow{}, reg: prometheus.NewRegistry()}
		r.o = New[i2c.Bus]("i2c-1", r.bus, cfg, slog.New(slog.DiscardHandler), r.reg)
		defer func() {
			if err := r.o.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if n := r.bus.most.Load(); n > 1 {
				t.Errorf("%d transactions at once", n)
			}
		}()
		f(t, r)
	})
}

// do submits a task and waits for its end.
func (r *rig) do(addr uint16, took ...byte) error {
	r.t.Helper()
	ended := make(chan error, 1)
	if err := r.o.Submit(at(addr), &steps{addr: addr, took: took}, func(err error) { ended <- err }); err != nil {
		return err
	}
	return <-ended
}

func (r *rig) submit(addr uint16, t Task[i2c.Bus]) <-chan error {
	r.t.Helper()
	ended := make(chan error, 1)
	if err := r.o.Submit(at(addr), t, func(err error) { ended <- err }); err != nil {
		r.t.Fatal(err)
	}
	return ended
}

func TestOneDevicesWaitIsAnothersTurn(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		var order []string
		trace := func(s string) { order = append(order, s) }
		began := time.Now()
		a := r.submit(0x10, &steps{addr: 0x10, took: []byte{1, 1}, wait: time.Second, trace: trace})
		b := r.submit(0x20, &steps{addr: 0x20, took: []byte{1, 1}, wait: time.Second, trace: trace})
		if err := errors.Join(<-a, <-b); err != nil {
			t.Fatal(err)
		}
		if want := []string{"10.0", "20.0", "10.1", "20.1"}; !slices.Equal(order, want) {
			t.Errorf("steps %v, want %v", order, want)
		}
		if d := time.Since(began); d != 1030*time.Millisecond {
			t.Errorf("both took %v, want 1.03s: the waits overlap", d)
		}
	})
}

func TestTwoTasksOfOneAddressNeverInterleave(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		var order []string
		trace := func(s string) { order = append(order, s) }
		a := r.submit(0x10, &steps{addr: 0x10, took: []byte{1, 1}, wait: time.Second, trace: trace})
		b := r.submit(0x10, &steps{addr: 0x10, took: []byte{2, 2}, wait: time.Second, trace: trace})
		c := r.submit(0x20, &steps{addr: 0x20, took: []byte{1}, trace: trace})
		if err := errors.Join(<-a, <-b, <-c); err != nil {
			t.Fatal(err)
		}
		if want := []string{"10.0", "20.0", "10.1", "10.0", "10.1"}; !slices.Equal(order, want) {
			t.Errorf("steps %v, want %v", order, want)
		}
	})
}

func TestAStalledDeviceEndsAtTheDeadlineAndTheBusWhenTheKernelReturns(t *testing.T) {
	inBubble(t, Config{Deadline: time.Second}, func(t *testing.T, r *rig) {
		began := time.Now()
		waiting := r.submit(0x20, &steps{addr: 0x20, took: []byte{0, 0}, wait: 10 * time.Second})
		synctest.Wait()
		stuck := &steps{addr: 0x10, took: []byte{250}} // 2.5 s
		stalled := r.submit(0x10, stuck)
		queued := r.submit(0x30, &steps{addr: 0x30, took: []byte{0}})
		if err := <-stalled; !errors.Is(err, ErrStalled) || time.Since(began) != time.Second || Kind(err) != KindStall {
			t.Errorf("stalled: %v after %v", err, time.Since(began))
		}
		if !stuck.abandoned {
			t.Error("the task does not know that it ended")
		}
		for _, c := range []<-chan error{waiting, queued} {
			if err := <-c; !errors.Is(err, ErrQuarantined) {
				t.Errorf("beside a stall: %v", err)
			}
		}
		if err := r.do(0x30, 0); !errors.Is(err, ErrQuarantined) {
			t.Errorf("while the kernel holds the bus: %v", err)
		}
		time.Sleep(1600 * time.Millisecond)
		if err := r.do(0x30, 0); err != nil {
			t.Errorf("another device after the stall: %v", err)
		}
		if err := r.do(0x10, 0); !errors.Is(err, ErrQuarantined) {
			t.Errorf("the device itself: %v", err)
		}
	})
}

func TestQuarantineGrowsToItsBoundAndAProbeEndsIt(t *testing.T) {
	cfg := Config{Deadline: 100 * time.Millisecond, MinQuarantine: time.Second, MaxQuarantine: 4 * time.Second}
	inBubble(t, cfg, func(t *testing.T, r *rig) {
		const stall = 20 // 200 ms: twice the deadline
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
			if err := r.do(0x10, stall); !errors.Is(err, ErrStalled) {
				t.Fatalf("stall: %v", err)
			}
			time.Sleep(100*time.Millisecond + want - time.Nanosecond) // the ioctl returns, then the term
			if err := r.do(0x10, 0); !errors.Is(err, ErrQuarantined) {
				t.Fatalf("just before %v: %v", want, err)
			}
			time.Sleep(time.Nanosecond)
		}
		probe := r.submit(0x10, &steps{addr: 0x10, took: []byte{5}})
		if err := r.o.Submit(at(0x10), &steps{addr: 0x10, took: []byte{0}}, func(error) {}); !errors.Is(err, ErrQuarantined) {
			t.Errorf("beside the probe: %v", err)
		}
		if err := <-probe; err != nil {
			t.Errorf("probe: %v", err)
		}
		if err := r.do(0x10, 0); err != nil {
			t.Errorf("after the probe: %v", err)
		}
		if n := r.metric("atrium_bus_stalls_total"); n != 4 {
			t.Errorf("%v stalls counted, want 4", n)
		}
	})
}

func TestAProbeThatFailsInTimeAlsoEndsTheQuarantine(t *testing.T) {
	inBubble(t, Config{Deadline: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		if err := r.do(0x77, 20); !errors.Is(err, ErrStalled) {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		for range 2 { // the second is no probe
			if err := r.do(0x77, 0); Kind(err) != KindNack {
				t.Errorf("got %v, want the absent device's error", err)
			}
		}
	})
}

func TestCloseFinishesWhatHasBegunAndEndsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New[i2c.Bus]("i2c-1", &slow{}, Config{}, slog.New(slog.DiscardHandler), nil)
		ends := make(chan string, 3)
		for _, s := range []*steps{{addr: 1, took: []byte{1, 1}, wait: time.Second}, {addr: 2, took: []byte{1}}, {addr: 1, took: []byte{1}}} {
			if err := o.Submit(at(s.addr), s, func(err error) { ends <- fmt.Sprint(s.at, " ", Kind(err)) }); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // the first is in its first step
		if err := o.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := []string{<-ends, <-ends, <-ends}; !slices.Equal(got, []string{"0 closed", "0 closed", "2 none"}) {
			t.Errorf("ends %v", got)
		}
		if err := o.Submit(at(1), &steps{}, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := o.Close(t.Context()); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})
}

func TestCloseGivesUpWithItsContextWhenTheKernelHoldsTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New[i2c.Bus]("i2c-1", &slow{}, Config{Deadline: 100 * time.Millisecond}, slog.New(slog.DiscardHandler), nil)
		ended := make(chan error, 1)
		if err := o.Submit(at(1), &steps{addr: 1, took: []byte{200}}, func(err error) { ended <- err }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // its step is in the kernel
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v", err)
		}
		if err := <-ended; !errors.Is(err, ErrStalled) {
			t.Errorf("the task ended with %v", err)
		}
		if err := o.Close(t.Context()); err != nil { // the kernel returns at 2 s
			t.Error(err)
		}
	})
}

func TestAFullQueueRefusesAndCounts(t *testing.T) {
	inBubble(t, Config{Queue: 2}, func(t *testing.T, r *rig) {
		a := r.submit(1, &steps{addr: 1, took: []byte{1}})
		b := r.submit(2, &steps{addr: 2, took: []byte{1}})
		err := r.o.Submit(at(3), &steps{addr: 3, took: []byte{1}}, func(error) { t.Error("done of a refused task was called") })
		if !errors.Is(err, ErrQueueFull) || !strings.Contains(err.Error(), "i2c-1: device at 0x03") {
			t.Errorf("got %v", err)
		}
		if err := errors.Join(<-a, <-b); err != nil {
			t.Error(err)
		}
	})
}

func TestDoneMaySubmitTheNextTask(t *testing.T) {
	inBubble(t, Config{Queue: 1}, func(t *testing.T, r *rig) {
		ended := make(chan error)
		n := 0
		var again func(error)
		again = func(err error) {
			if n++; n == 3 || err != nil {
				go func() { ended <- err }()
				return
			}
			if err := r.o.Submit(at(1), &steps{addr: 1, took: []byte{1}}, again); err != nil {
				t.Error(err)
			}
		}
		if err := r.o.Submit(at(1), &steps{addr: 1, took: []byte{1}}, again); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil || n != 3 {
			t.Errorf("%d ends, %v", n, err)
		}
	})
}

func TestMetricsCountWhatHappened(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		if err := r.do(1, 10, 10); err != nil {
			t.Fatal(err)
		}
		if err := r.do(0x77, 1); Kind(err) != KindNack {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{
			"atrium_bus_busy_seconds_total": 0.21, "atrium_bus_tasks": 0, "atrium_bus_transactions_total": 3,
			"atrium_bus_errors_total": 1, "atrium_bus_quarantined_devices": 0,
		} {
			if got := r.metric(name); math.Abs(got-want) > 1e-9 {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
	})
}

// metric returns the sum of a metric over its labels.
func (r *rig) metric(name string) (sum float64) {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			found = true
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if !found {
		r.t.Errorf("no metric %s", name)
	}
	return sum
}

func TestBusesShareARegistryAndANameMayComeBack(t *testing.T) {
	reg := prometheus.NewRegistry()
	open := func(name string) *Owner[i2c.Bus] {
		return New[i2c.Bus](name, &slow{}, Config{}, slog.New(slog.DiscardHandler), reg)
	}
	count := func() int {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "atrium_bus_tasks" {
				return len(f.GetMetric())
			}
		}
		return 0
	}
	one, other, again := open("i2c-1"), open("i2c-2"), open("i2c-1") // as after a Close that gave up
	if n := count(); n != 2 {
		t.Errorf("%d buses have metrics, want 2", n)
	}
	for i, o := range []*Owner[i2c.Bus]{other, again, one} {
		if err := o.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := count(); n != max(1-i, 0) {
			t.Errorf("after %d closed buses %d have metrics", i+1, n)
		}
	}
}

// TestEveryAcceptedTaskEndsExactlyOnce throws tasks of all sorts at an owner,
// with stalls among them, and closes it in the middle.
func TestEveryAcceptedTaskEndsExactlyOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type submit struct {
			after time.Duration
			addr  uint16
			took  []byte
			wait  time.Duration
		}
		plan := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) submit {
			return submit{
				time.Duration(rapid.IntRange(0, 300).Draw(t, "after")) * time.Millisecond,
				rapid.SampledFrom([]uint16{1, 2, 3, 0x77}).Draw(t, "addr"),
				rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 5, 30}), 1, 3).Draw(t, "took"),
				time.Duration(rapid.IntRange(0, 200).Draw(t, "wait")) * time.Millisecond,
			}
		}), 1, 20).Draw(rt, "plan")
		closeAt := rapid.IntRange(0, len(plan)).Draw(rt, "close")
		synctest.Test(t, func(t *testing.T) {
			bus := &slow{}
			o := New[i2c.Bus]("b", bus, Config{Deadline: 200 * time.Millisecond, Queue: 4}, slog.New(slog.DiscardHandler), nil)
			accepted := 0
			var ended atomic.Int32
			for i, s := range plan {
				if i == closeAt {
					go func() { _ = o.Close(context.Background()) }()
				}
				time.Sleep(s.after)
				if o.Submit(at(s.addr), &steps{addr: s.addr, took: s.took, wait: s.wait}, func(error) { ended.Add(1) }) == nil {
					accepted++
				}
			}
			if err := o.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if int(ended.Load()) != accepted || bus.most.Load() > 1 {
				t.Errorf("%d tasks accepted, %d ended, %d transactions at once", accepted, ended.Load(), bus.most.Load())
			}
			synctest.Wait()
		})
	})
}

func TestErrorsAreClassifiedByTheKernelsWords(t *testing.T) {
	for text, want := range map[string]ErrorKind{
		"sysfs-i2c: remote I/O error":                                      KindNack,
		"sysfs-i2c: no such device or address":                             KindNack,
		"sysfs-i2c: connection timed out":                                  KindTimeout,
		"sysfs-i2c: resource temporarily unavailable":                      KindArbitration,
		"regmap: x: read step 2: crc mismatch":                             KindCRC,
		"regmap: x: read step 2: never ready: status 0x80 after 50ms":      KindPoll,
		"remote: board of sim-i2c-1 is unreachable: connection timed out":  KindUnreachable,
		"remote: board of b is unreachable: dial unix: connection refused": KindUnreachable,
		"GPIOLine.Out(): line_request ioctl: device or resource busy":      KindArbitration,
		"something else": KindOther,
	} {
		if got := Kind(errors.New(text)); got != want {
			t.Errorf("Kind(%s) = %s, want %s", text, got, want)
		}
	}
	for err, want := range map[error]ErrorKind{nil: KindNone, ErrStalled: KindStall, ErrQuarantined: KindQuarantine, ErrClosed: KindClosed} {
		if got := Kind(err); got != want {
			t.Errorf("Kind(%v) = %s, want %s", err, got, want)
		}
	}
}

func TestAStallIsLoggedWithTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := New[i2c.Bus]("i2c-1", &slow{}, Config{Deadline: 10 * time.Millisecond}, slog.New(slog.NewTextHandler(&log, nil)), nil)
		if err := o.Submit(at(0x48), &steps{addr: 0x48, took: []byte{10}}, func(error) {}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := o.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"device stalls the bus", "bus works again", "bus=i2c-1", "address=0x48"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, log.String())
			}
		}
	})
}
