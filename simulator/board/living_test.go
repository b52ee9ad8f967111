package board

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/simulator/fault"
)

const living = `
seed: 3
hour: 10
rooms: {lobby: {temperature: 20}, attic: {temperature: 20, people: 0}}
buses:
  - name: b
    chips:
      - {type: sht31, address: 0x44, room: lobby}
      - {type: sht31, address: 0x45, room: attic}
      - {type: ads1115, address: 0x48, room: lobby}
gpio:
  - name: g
    lines:
      - {type: pir, line: 17, room: lobby}
      - {type: pir, line: 18, room: attic}
      - {type: relay, line: 27, room: lobby, load: heater}
      - {type: relay, line: 28, room: lobby, load: lamp}
`

// house is a living board in this process.
type house struct {
	t *testing.T
	*Board
	faults *fault.Set
}

func newHouse(t *testing.T, yaml string) *house {
	t.Helper()
	c, err := ParseConfig("b", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	faults := fault.New(c.Targets(), c.Seed, nil)
	b, err := New(c, nil, faults)
	if err != nil {
		t.Fatal(err)
	}
	return &house{t, b, faults}
}

// celsius measures with an SHT31.
func (h *house) celsius(addr uint16) float64 {
	h.t.Helper()
	var r [6]byte
	bus := h.Buses()["b"]
	if err := bus.Tx(addr, []byte{0x24, 0x00}, nil); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	if err := bus.Tx(addr, nil, r[:]); err != nil {
		h.t.Fatal(err)
	}
	return -45 + 175*float64(uint16(r[0])<<8|uint16(r[1]))/65535
}

func (h *house) line(offset int) gpio.PinIO {
	h.t.Helper()
	l, err := h.GPIO()["g"].Line(offset)
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (h *house) out(offset int, level gpio.Level) {
	h.t.Helper()
	if err := h.line(offset).Out(level); err != nil {
		h.t.Fatal(err)
	}
}

func TestARelayHeatsItsRoomAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		day := func(heat bool) (lobby, attic float64) {
			h := newHouse(t, living)
			time.Sleep(time.Second)
			h.out(27, gpio.Level(heat))
			time.Sleep(10 * time.Minute)
			return h.celsius(0x44), h.celsius(0x45)
		}
		coldLobby, coldAttic := day(false)
		warmLobby, warmAttic := day(true)
		// 12 K by 1-1/e; the hour begins anew with each house.
		if gain := warmLobby - coldLobby; math.Abs(gain-12*(1-math.Exp(-1))) > 0.02 {
			t.Errorf("the heater added %v K", gain)
		}
		if math.Abs(warmAttic-coldAttic) > 0.005 {
			t.Errorf("the attic went from %v to %v", coldAttic, warmAttic)
		}
	})
}

// The same seed and the same switching give the same world, also at another
// pace: then sooner.
func TestAPaceLetsTheWorldLiveFasterAndNotOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(yaml string, pace time.Duration) (warm, cooled float64) {
			h := newHouse(t, yaml)
			h.out(27, gpio.High)
			time.Sleep(20 * time.Minute / pace)
			warm = h.celsius(0x44)
			h.out(27, gpio.Low)
			time.Sleep(2 * time.Hour / pace)
			return warm, h.celsius(0x44)
		}
		a, b := run(living, 1)
		c, d := run("pace: 60\n"+living, 60)
		if math.Abs(a-c) > 0.1 || math.Abs(b-d) > 0.1 || a-b < 5 {
			t.Errorf("at its own pace %v, then %v; at 60 %v, then %v", a, b, c, d)
		}
	})
}

func TestADetectorSeesThePeopleOfItsRoomAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, living) // from ten o'clock
		seen, rose, last := map[int]int{}, 0, gpio.Low
		for range 20 * 60 * 10 {
			time.Sleep(100 * time.Millisecond)
			for _, line := range []int{17, 18} {
				if h.line(line).Read() {
					seen[line]++
				}
			}
			now := h.line(17).Read()
			if now && !last {
				rose++
			}
			last = now
		}
		if seen[17] < 600 || seen[17] == 12_000 || rose < 10 {
			t.Errorf("in 20 minutes the lobby's is high %d of 12000 times, after %d rises", seen[17], rose)
		}
		if seen[18] != 0 {
			t.Errorf("somebody moves in the attic, %d times", seen[18])
		}
		time.Sleep(12 * time.Hour) // to the night
		for range 600 {
			time.Sleep(time.Second)
			if h.line(17).Read() {
				t.Fatal("somebody moves at night")
			}
		}
	})
}

func TestALampLightsItsRoomsSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, strings.Replace(living, "hour: 10", "hour: 1", 1))
		lux := func() float64 {
			t.Helper()
			var r [2]byte
			bus := h.Buses()["b"]
			if err := bus.Tx(0x48, []byte{1, 0xc3, 0x83}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(8 * time.Millisecond)
			if err := bus.Tx(0x48, []byte{0}, r[:]); err != nil {
				t.Fatal(err)
			}
			return float64(int16(uint16(r[0])<<8|uint16(r[1]))) * 4.096 / 32768 / voltPerLux
		}
		h.out(28, gpio.High)
		if got := lux(); got > 1 {
			t.Errorf("%v lux before the contacts have closed", got)
		}
		time.Sleep(10 * time.Millisecond)
		if got := lux(); math.Abs(got-400) > 1 {
			t.Errorf("%v lux with the lamp, want 400", got)
		}
		h.out(28, gpio.Low)
		time.Sleep(10 * time.Millisecond)
		if got := lux(); got > 1 {
			t.Errorf("%v lux without", got)
		}
	})
}

func TestARelayThatIsUnpluggedLetsItsRoomCool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, living)
		h.out(27, gpio.High)
		time.Sleep(time.Hour)
		warm := h.celsius(0x44)
		if err := h.faults.Plan("f", []byte("faults: [{bus: g, line: 27, kind: unplugged, for: 1h}]")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		cool := h.celsius(0x44)
		time.Sleep(time.Hour + time.Second) // it is back, and the host still drives it
		if again := h.celsius(0x44); warm-cool < 10 || again-cool < 10 {
			t.Errorf("%v, unplugged %v, then %v", warm, cool, again)
		}
	})
}

func TestAMomentOfTheWorldIsFoundInTheTimeOfTheChips(t *testing.T) {
	start := time.Date(2026, 6, 21, 13, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		hour := rapid.Float64Range(0, 24).Draw(t, "hour")
		l := Clock{Pace: rapid.Int64Range(1, 600).Draw(t, "pace"), Hour: &hour}.run(start)
		w := l.begin.Add(time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "since")))
		at := l.first(w)
		if l.world(at).Before(w) || !l.world(at.Add(-1)).Before(w) {
			t.Fatalf("%v is at %v, where it is %v", w, at, l.world(at))
		}
	})
}

func TestAHostReachesTheLinesOverTheSocket(t *testing.T) {
	c, err := ParseConfig("b", []byte(living))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "board.sock")
	ctx, cancel := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() {
		done <- Run(ctx, c, Options{Socket: socket}, func() { close(ready) }, slog.New(slog.DiscardHandler))
	}()
	<-ready
	lines, err := remote.DialLines(t.Context(), socket, "g")
	if err != nil {
		t.Fatal(err)
	}
	relay, err := lines.Line(27)
	if err != nil {
		t.Fatal(err)
	}
	detector, err := lines.Line(18)
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Out(gpio.High); err != nil {
		t.Error(err)
	}
	if err := detector.In(gpio.PullDown, gpio.NoEdge); err != nil || detector.Read() != gpio.Low {
		t.Errorf("In = %v, or an empty room has movements", err)
	}
	if err := lines.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
