package sim

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/hal/line"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/simulator/chip"
)

// The devices on a board's GPIO chip that commands go to. A stamp and a dial
// are the same thing: they take a number from seven lines when an eighth
// rises, so that the board knows which command was executed how often. What
// the stamp does cannot be done again; the dial's command is idempotent.
const (
	stampDevice = iota
	dialDevice
	relayDevice
	actuators
)

const (
	numberLines = 7 // of a stamp or dial, and one more that strobes
	maxNumber   = 1<<numberLines - 1
	relayLine   = 27
)

// pressed is how long a stamp takes: long enough for something to happen.
const pressed = 150 * time.Millisecond

// pressProfile is the profile of a stamp or dial.
func pressProfile(name string, idempotent bool) (*profile.Profile, error) {
	var lines, do strings.Builder
	for i := range numberLines {
		fmt.Fprintf(&lines, "  d%d: {direction: out}\n", i)
		fmt.Fprintf(&do, "      - {line: d%d, level: \"floor(n / %d) - 2 * floor(n / %d)\"}\n", i, 1<<i, 2<<i)
	}
	text := fmt.Sprintf(`id: test.%s
version: 1
bus: {type: gpio}
every: 1s
lines:
%s  strobe: {direction: out}
raw: {strobe: {line: strobe}}
points: [{name: strobe, expr: strobe, kind: boolean}]
commands:
  press:
    args: {n: {range: [0, %d]}}
    do:
%s      - {line: strobe, level: "1", hold: %s}
      - {line: strobe, level: "0"}
    confirm: shadow
    idempotent: %t
`, name, lines.String(), maxNumber, do.String(), pressed, idempotent)
	return profile.Parse("test."+name, []byte(text))
}

// actuator is a device that commands go to.
type actuator struct {
	device  id.Device
	profile *profile.Profile
	lines   map[string]int
}

// execution is a number that a stamp or dial took.
type execution struct {
	device id.Device
	number int
	at     time.Time
}

// panel is the GPIO chip of a board and what hangs on it. It outlives its
// gateway's processes, and remembers what it was made to do.
type panel struct {
	*chip.GPIO
	actuators [actuators]actuator

	mu       sync.Mutex
	levels   [2 * (numberLines + 1)]bool
	done     []execution
	driven   [2]time.Time // when the relay's line was last driven low, and high
	relay    bool
	numb     bool   // sabotage: nothing is done
	onStrobe func() // is told that a command is being executed; nil for nobody
}

func newPanel(site id.Site, gateway string) (*panel, error) {
	p := &panel{}
	parts := map[int]chip.Part{relayLine: coil{p}}
	for i, name := range []string{"stamp", "dial"} {
		press, err := pressProfile(name, i == dialDevice)
		if err != nil {
			return nil, err
		}
		a := actuator{id.Device{Site: site, Name: gateway + "-" + name}, press, map[string]int{}}
		for bit := range numberLines + 1 {
			offset := i*(numberLines+1) + bit
			parts[offset] = contact{p, offset}
			a.lines[fmt.Sprintf("d%d", bit)] = offset
		}
		delete(a.lines, fmt.Sprintf("d%d", numberLines))
		a.lines["strobe"] = i*(numberLines+1) + numberLines
		p.actuators[i] = a
	}
	relay, err := profiles.Load("generic.relay")
	if err != nil {
		return nil, err
	}
	p.actuators[relayDevice] = actuator{id.Device{Site: site, Name: gateway + "-relay"}, relay, map[string]int{"out": relayLine}}
	p.GPIO, err = chip.NewGPIO("sim-gpio-0", parts)
	return p, err
}

// contact is a line of a stamp or dial.
type contact struct {
	panel  *panel
	offset int
}

// Drive implements chip.Part.
func (c contact) Drive(now time.Time, d chip.Drive) {
	p := c.panel
	p.mu.Lock()
	if p.numb {
		d = chip.Released
	}
	high, was := d == chip.DrivenHigh, p.levels[c.offset]
	p.levels[c.offset] = high
	device, bit := c.offset/(numberLines+1), c.offset%(numberLines+1)
	var tell func()
	if bit == numberLines && high && !was {
		p.done = append(p.done, execution{p.actuators[device].device, p.number(device), now})
		tell, p.onStrobe = p.onStrobe, nil
	}
	p.mu.Unlock()
	if tell != nil {
		tell()
	}
}

// Level implements chip.Part: it only listens.
func (c contact) Level(time.Time) (gpio.Level, bool) { return gpio.Low, false }

// number is what lies on a device's lines. p.mu is held.
func (p *panel) number(device int) (n int) {
	for bit := range numberLines {
		if p.levels[device*(numberLines+1)+bit] {
			n |= 1 << bit
		}
	}
	return n
}

// coil is the relay's line.
type coil struct{ panel *panel }

// Drive implements chip.Part.
func (c coil) Drive(now time.Time, d chip.Drive) {
	p := c.panel
	p.mu.Lock()
	defer p.mu.Unlock()
	p.relay = d == chip.DrivenHigh && !p.numb
	p.driven[index(p.relay)] = now
}

// Level implements chip.Part.
func (coil) Level(time.Time) (gpio.Level, bool) { return gpio.Low, false }

func index(on bool) int {
	if on {
		return 1
	}
	return 0
}

// executed returns what stamps and dials did, in order.
func (p *panel) executed() []execution {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]execution(nil), p.done...)
}

// lastDriven returns when the relay's line was last driven low (0) or high (1).
func (p *panel) lastDriven(level int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.driven[level]
}

// isOn reports whether the relay's line is high.
func (p *panel) isOn() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.relay }

// whenPressed has f told of the next execution, while it is under way.
func (p *panel) whenPressed(f func()) { p.mu.Lock(); p.onStrobe = f; p.mu.Unlock() }

// mortalLines are the lines as one process sees them: none moves after its
// power was cut.
type mortalLines struct {
	line.Chip
	process *process
}

// Line implements line.Chip.
func (m mortalLines) Line(offset int) (gpio.PinIO, error) {
	pin, err := m.Chip.Line(offset)
	return mortalPin{pin, m.process}, err
}

type mortalPin struct {
	gpio.PinIO
	process *process
}

// Out implements gpio.PinOut.
func (m mortalPin) Out(l gpio.Level) error {
	if m.process.isCrashed() {
		return fmt.Errorf("lines: %w", buffertest.ErrCrashed)
	}
	return m.PinIO.Out(l)
}
