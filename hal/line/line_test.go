package line

import (
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/profile"
)

func TestEveryGPIOProfilePlaysItsTranscript(t *testing.T) {
	played := 0
	for _, id := range profiles.IDs() {
		p := load(t, id)
		if p.Bus.Type != profile.BusGPIO {
			continue
		}
		played++
		t.Run(id, func(t *testing.T) {
			data, err := fs.ReadFile(profiles.FS(), id+"/transcript.txt")
			if err != nil {
				t.Fatal(err)
			}
			if n := play(t, p, string(data)); n < 2 {
				t.Errorf("%d readings and commands, want at least 2", n)
			}
		})
	}
	if played < 2 {
		t.Errorf("%d profiles on GPIO lines, want relay and PIR at least", played)
	}
}

func TestTheFirstTouchDrivesTheSafeLevelsAndConfiguresTheInputs(t *testing.T) {
	for _, first := range []string{"reading", "command"} {
		r := newRig(t)
		if first == "reading" {
			r.must(r.read())
			r.want("0 1 0")
			r.drove(bell, low, low) // set up, then the reading
			r.drove(lock, high, high)
			if in := r.at(open).ins; len(in) != 1 || in[0] != gpio.PullUp {
				t.Errorf("the input was configured with %v, want its pull up once", in)
			}
		} else {
			r.must(r.do("lock", 0))
			r.drove(bell, low)
			r.drove(lock, high, low)
			r.drove(open)
		}
		r.must(r.read())
		if in := r.at(open).ins; first == "reading" && len(in) != 0 {
			t.Errorf("the second reading configured the input with %v", in)
		}
	}
}

// The lines of the rig fail the test when an output is read.
func TestAnOutputIsItsShadowAndIsNeverRead(t *testing.T) {
	r := newRig(t)
	r.must(r.read())
	r.must(r.do("lock", 0))
	r.at(lock).L = high // something else holds the line: nobody may look
	r.must(r.read())
	r.want("0 0 0")
	r.drove(lock, low)
	if l := r.at(lock).L; l != low {
		t.Error("the reading did not drive the shadow again")
	}
	r.at(open).L = low
	r.must(r.read())
	r.want("0 0 1")
	if !r.at(lock).out || r.at(open).out {
		t.Error("a line has changed its direction")
	}
}

func TestACommandDrivesItsLevelsInOrderWithItsHoldsBetween(t *testing.T) {
	r := newRig(t)
	r.must(r.read())
	r.forget()
	task, err := r.device.Do(&profile.Command{Name: "ring"}, nil)
	r.must(err)
	var waits []time.Duration
	for {
		wait, done, err := task.Step(r.chip)
		r.must(err)
		if done {
			break
		}
		waits = append(waits, wait)
	}
	if len(waits) != 3 || waits[0] != 300*time.Millisecond || waits[1] != 200*time.Millisecond || waits[2] != waits[0] {
		t.Errorf("waits %v", waits)
	}
	r.drove(bell, high, low, high, low)
	r.drove(lock)
	r.must(r.read())
	r.drove(bell, low)
}

// I6: what does not fit touches nothing.
func TestACommandThatDoesNotFitTouchesNoLine(t *testing.T) {
	r := newRig(t)
	for want, err := range map[string]error{
		"acme.door has no command open with 0 arguments": r.do("open"),
		"acme.door has no command lock with 0 arguments": r.do("lock"),
		"these arguments give no level for bell":         r.do("share", 0),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if len(r.lines) != 0 {
		t.Errorf("%d lines were touched", len(r.lines))
	}
}

func TestALineThatFailedIsSetUpAgainAndTheOthersAreNot(t *testing.T) {
	broken := errors.New("no such device")
	r := newRig(t)
	r.must(r.read())
	r.must(r.do("lock", 0))

	r.at(lock).fail = broken
	if err := r.read(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "line: acme.door: drive lock at 6: ") {
		t.Errorf("reading with a broken output: %v", err)
	}
	r.want("0 1 0") // the sample of the first reading
	if err := r.do("lock", 0); !strings.Contains(err.Error(), "set up lock at 6") {
		t.Errorf("command on a broken output: %v", err)
	}
	r.at(lock).fail = nil
	r.must(r.read())
	r.drove(lock, high, high) // safe again
	r.drove(bell, low)
	r.want("0 1 0")
}

func TestABrokenInputFailsTheReadingAndNoCommand(t *testing.T) {
	broken := errors.New("board is unreachable")
	r := newRig(t)
	r.honest = true
	r.must(r.read())
	r.must(r.do("lock", 0))
	r.at(open).fail = broken
	if err := r.read(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "read open at 7") {
		t.Errorf("got %v", err)
	}
	r.want("0 1 0") // the sample before
	r.must(r.do("lock", 0))
	r.drove(lock, low) // it was not set up again
	r.at(open).fail = nil
	r.must(r.read())
	r.want("0 0 0")
	if in := r.at(open).ins; len(in) != 1 {
		t.Errorf("the input was configured %d times, want once after the fault", len(in))
	}
}

func TestACommandThatStopsHalfwayLeavesTheSafeLevels(t *testing.T) {
	r := newRig(t)
	r.must(r.read())
	task, err := r.device.Do(&profile.Command{Name: "ring"}, nil)
	r.must(err)
	if _, _, err := task.Step(r.chip); err != nil { // the bell rings, and the owner gives up
		t.Fatal(err)
	}
	r.must(r.read())
	r.drove(bell, low, low)
	r.want("0 1 0")
}

func TestAChipWithoutTheLineFailsUntilItHasIt(t *testing.T) {
	r := newRig(t)
	r.fail = errors.New("no line 5")
	if err := r.read(); err == nil || !strings.Contains(err.Error(), "set up bell at 5: no line 5") {
		t.Errorf("got %v", err)
	}
	r.fail = nil
	r.must(r.read())
	r.want("0 1 0")
}

func TestTheLinesOfADeviceAreCheckedByName(t *testing.T) {
	p := newRig(t).profile
	for want, offsets := range map[string]map[string]int{
		"line open: want its offset":        {"bell": 1, "lock": 2},
		"acme.door has no line \"gong\"":    {"bell": 1, "lock": 2, "open": 3, "gong": 4},
		"lines bell and open are both at 1": {"bell": 1, "lock": 2, "open": 1},
		"an offset of 0 or more, got -1":    {"bell": 1, "lock": -1, "open": 1},
	} {
		if _, err := New(p, offsets); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", offsets, err, want)
		}
	}
}

func TestReadingsAndCommandsDoNotAllocateInTheSteadyState(t *testing.T) {
	r := newRig(t)
	r.must(r.read())
	lockIt, _ := r.profile.Command("lock")
	args := []float64{1}
	n := testing.AllocsPerRun(100, func() {
		r.must(r.doBound(lockIt, args))
		for _, l := range r.lines {
			l.driven = l.driven[:0]
		}
		_, err := drive(r.chip, r.device.Read(&r.sample))
		r.must(err)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func (r *rig) doBound(c *profile.Command, args []float64) error {
	task, err := r.device.Do(c, args)
	if err != nil {
		return err
	}
	_, err = drive(r.chip, task)
	return err
}

// bind puts the rig's device on an owner of its chip, and returns functions
// that wait for the end of a reading and of a command.
func (r *rig) bind(cfg bus.Config) (read func() error, do func(name string, args ...float64) error, close func()) {
	owner := bus.New[Chip]("sim-gpio-0", r.chip, cfg, slog.New(slog.DiscardHandler), nil)
	bound := r.device.On(owner)
	ended := make(chan error, 1)
	wait := func(err error) error {
		if err != nil {
			return err
		}
		return <-ended
	}
	done := func(err error) { ended <- err }
	return func() error { return wait(bound.Read(&r.sample, done)) },
		func(name string, args ...float64) error {
			return wait(bound.Do(&profile.Command{Name: name}, args, done))
		},
		func() {
			if err := owner.Close(r.t.Context()); err != nil {
				r.t.Error(err)
			}
		}
}

func TestADeviceOnItsOwnerReadsAndObeysAndItsErrorsNameItsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		read, do, end := r.bind(bus.Config{})
		r.must(read())
		r.want("0 1 0")
		r.must(do("lock", 0))
		began := time.Now()
		r.must(do("ring"))
		if d := time.Since(began); d != 800*time.Millisecond {
			t.Errorf("ringing took %v, want the holds' 800ms", d)
		}
		r.must(read())
		r.want("0 0 0")
		r.at(open).fail = errors.New("unplugged")
		r.honest = true
		if err := do("open"); err == nil {
			t.Error("an unknown command was accepted")
		}
		r.at(bell).fail = errors.New("unplugged")
		if err := read(); err == nil || !strings.HasPrefix(err.Error(), "bus: sim-gpio-0: device at lines 5, 6, 7: line: acme.door: drive bell at 5: unplugged") {
			t.Errorf("got %v", err)
		}
		end()
	})
}

// A line that is stuck in the kernel ends its command at the deadline. What it
// does later is nobody's, and the next task starts from the safe levels,
// whether or not one was asked for in between.
func TestWhatComesAfterAStallIsDroppedAndTheSafeLevelsAreDrivenAgain(t *testing.T) {
	for _, asked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			read, do, end := r.bind(bus.Config{Deadline: time.Second, MinQuarantine: time.Second})
			r.must(read())
			r.at(lock).blocked = make(chan struct{})
			if err := do("lock", 0); !errors.Is(err, bus.ErrStalled) {
				t.Fatalf("got %v", err)
			}
			if asked {
				if err := read(); !errors.Is(err, bus.ErrQuarantined) {
					t.Errorf("while the kernel holds the line: %v", err)
				}
			}
			close(r.at(lock).blocked) // and the level is driven after all
			synctest.Wait()
			if l := r.at(lock).L; l != low {
				t.Fatal("the late access did not come")
			}
			r.at(lock).blocked = nil
			time.Sleep(2 * time.Second)
			r.must(read())
			r.want("0 1 0")
			if l := r.at(lock).L; l != high {
				t.Error("the lock was not driven to its safe level")
			}
			end()
		})
	}
}

func TestALateReadingDoesNotChangeTheSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		read, _, end := r.bind(bus.Config{Deadline: time.Second})
		r.must(read())
		r.at(open).L, r.at(open).blocked = low, make(chan struct{})
		if err := read(); !errors.Is(err, bus.ErrStalled) {
			t.Fatalf("got %v", err)
		}
		close(r.at(open).blocked)
		end() // after the late access
		r.want("0 1 0")
	})
}

// A step may be late to begin, too: the owner has given up by then, and the
// device's next task was refused.
func TestAStepThatBeginsAfterAStallTouchesNothing(t *testing.T) {
	r := newRig(t)
	r.must(r.read())
	stalled := r.device.Read(&r.sample)
	stalled.Abandon()
	r.forget()
	if _, err := r.device.Do(&profile.Command{Name: "ring"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, done, err := stalled.Step(r.chip); !done || err != nil {
		t.Errorf("a step after the task's end: done %v, %v", done, err)
	}
	r.drove(bell)
	r.drove(lock)
	r.must(r.read())
	r.drove(bell, low, low)
}
