package fault

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/atrium-iot/atrium/simulator/chip"
)

// probe is a part whose level is set by a test, and which remembers what it was
// driven with.
type probe struct {
	level atomic.Bool
	sees  atomic.Int32
}

func (p *probe) Drive(_ time.Time, d chip.Drive)         { p.sees.Store(int32(d)) }
func (p *probe) Level(time.Time) (l gpio.Level, ok bool) { return gpio.Level(p.level.Load()), true }

// lab is a line of a GPIO chip at whose end is a probe in its faults.
type lab struct {
	*bench
	probe probe
	line  gpio.PinIO
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{bench: newBench(t, 1)}
	l.made.Store(0)
	part := l.set.WrapPart(relay, func() chip.Part { l.made.Add(1); return &l.probe })
	c, err := chip.NewGPIO("g", map[int]chip.Part{27: part})
	if err != nil {
		t.Fatal(err)
	}
	if l.line, err = c.Line(27); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) out(level gpio.Level) {
	l.t.Helper()
	if err := l.line.Out(level); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) wantSees(d chip.Drive) {
	l.t.Helper()
	if got := chip.Drive(l.probe.sees.Load()); got != d {
		l.t.Errorf("after %v the part sees %d, want %d", time.Since(l.set.start), got, d)
	}
}

func (l *lab) plan(text string) {
	l.t.Helper()
	if err := l.set.Plan("f", []byte("faults: [{bus: g, line: 27, "+text+"}]")); err != nil {
		l.t.Fatal(err)
	}
}

func TestAStuckOutputSwitchesNothingUntilTheFaultEnds(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t)
		l.out(gpio.High)
		l.wantSees(chip.DrivenHigh)
		l.plan("kind: stuck, for: 10s")
		l.out(gpio.Low)
		l.out(gpio.Low)
		l.wantSees(chip.DrivenHigh)
		if v := l.set.Faults(); len(v) != 1 || v[0].Injected != 1 || v[0].Address != "" || *v[0].Line != 27 {
			t.Errorf("faults: %+v", v)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		l.wantSees(chip.DrivenLow)
	})
}

// Whether or not a host looks: a relay falls when its wire is pulled.
func TestAnUnpluggedOutputReleasesAndFollowsTheHostWhenItIsBack(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t)
		l.out(gpio.High)
		l.plan("kind: unplugged, at: 1s, for: 1s")
		l.wantSees(chip.DrivenHigh)
		time.Sleep(time.Second)
		synctest.Wait()
		l.wantSees(chip.Released)
		l.out(gpio.Low)
		l.out(gpio.High)
		l.wantSees(chip.Released)
		time.Sleep(time.Second)
		synctest.Wait()
		l.wantSees(chip.DrivenHigh)
		if n := l.made.Load(); n != 2 {
			t.Errorf("powered on %d times, want 2", n)
		}
	})
}

func TestAStuckInputReadsWhatItReadLast(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t)
		read := func(want gpio.Level) {
			t.Helper()
			if got := l.line.Read(); got != want {
				t.Errorf("after %v: read %v, want %v", time.Since(l.set.start), got, want)
			}
		}
		l.probe.level.Store(true)
		read(gpio.High)
		l.plan("kind: stuck, for: 10s")
		l.probe.level.Store(false)
		read(gpio.High)
		read(gpio.High)
		time.Sleep(10 * time.Second)
		read(gpio.Low)

		// One that nobody has read sticks at its first reading.
		fresh := newLab(t)
		fresh.plan("kind: stuck")
		fresh.probe.level.Store(true)
		l = fresh
		read(gpio.High)
		fresh.probe.level.Store(false)
		read(gpio.High)
	})
}

func TestAnUnpluggedInputReadsItsPull(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t)
		l.probe.level.Store(true)
		l.plan("kind: unplugged, for: 1s")
		for pull, want := range map[gpio.Pull]gpio.Level{gpio.Float: gpio.Low, gpio.PullDown: gpio.Low, gpio.PullUp: gpio.High} {
			if err := l.line.In(pull, gpio.NoEdge); err != nil {
				t.Fatal(err)
			}
			if got := l.line.Read(); got != want {
				t.Errorf("with %v: read %v, want %v", pull, got, want)
			}
		}
	})
}

// A relay whose contacts are welded does not open when its wire is pulled.
func TestAStuckOutputStaysWhenItIsUnplugged(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t)
		l.out(gpio.High)
		l.plan("kind: stuck, for: 10s")
		l.plan("kind: unplugged")
		synctest.Wait()
		l.wantSees(chip.DrivenHigh)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		l.wantSees(chip.Released)
	})
}
