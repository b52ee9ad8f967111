package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/simulator/chip"
)

// firstAddress is that of a board's first counter chip.
const firstAddress = 0x20

// board is the chips of a gateway, which outlive it, and the truth: the numbers
// that its counters delivered.
type board struct {
	i2c.BusCloser
	devices []id.Device // by address from firstAddress
	noise   id.Device   // floods the buffer (flood.go)
	panel   *panel

	mu        sync.Mutex
	truth     []verify.Sample
	withheld  map[verify.Sample]bool // what its samplers made no row of
	thin      uint64                 // rows that pressure took
	unplugged map[uint16]bool        // addresses at which nobody answers
}

func newBoard(site id.Site, gateway string, devices int) (*board, error) {
	b := &board{withheld: map[verify.Sample]bool{}, unplugged: map[uint16]bool{}, noise: id.Device{Site: site, Name: gateway + "-noise"}}
	chips := map[uint16]chip.Chip{}
	for i := range devices {
		b.devices = append(b.devices, id.Device{Site: site, Name: fmt.Sprintf("%s-c%d", gateway, i)})
		chips[uint16(firstAddress+i)] = chip.NewCounter(0)
	}
	bus, err := chip.NewBus("sim-i2c-1", chips)
	if err != nil {
		return nil, err
	}
	b.BusCloser = bus
	b.panel, err = newPanel(site, gateway)
	return b, err
}

// all returns the devices of the board by name: counters, then actuators.
func (b *board) all() []id.Device {
	names := slices.Clone(b.devices)
	for _, a := range b.panel.actuators {
		names = append(names, a.device)
	}
	return names
}

// Tx notes the number of a transaction that returned one in full.
func (b *board) Tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	gone := b.unplugged[addr]
	b.mu.Unlock()
	if gone {
		return fmt.Errorf("sysfs-i2c: %w", chip.NACK)
	}
	err := b.BusCloser.Tx(addr, w, r)
	if err == nil && len(w) == 1 && w[0] == chip.CounterNumber && len(r) == 4 {
		b.mu.Lock()
		b.truth = append(b.truth, verify.Sample{Device: b.devices[addr-firstAddress], N: int64(binary.BigEndian.Uint32(r))})
		b.mu.Unlock()
	}
	return err
}

// mortalBus is the board's bus as one process sees it: no chip delivers a number
// to it after its power was cut.
type mortalBus struct {
	*board
	process *process
}

// Tx implements i2c.Bus.
func (m mortalBus) Tx(addr uint16, w, r []byte) error {
	if m.process.isCrashed() {
		return fmt.Errorf("bus: %w", buffertest.ErrCrashed)
	}
	return m.board.Tx(addr, w, r)
}

// unplug takes a counter off the bus, or puts it back.
func (b *board) unplug(n int, gone bool) {
	b.mu.Lock()
	b.unplugged[firstAddress+uint16(n)] = gone
	b.mu.Unlock()
}

// withhold notes numbers that were delivered and that no row holds, on purpose.
func (b *board) withhold(name id.Device, numbers []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range numbers {
		b.withheld[verify.Sample{Device: name, N: n}] = true
	}
}

func (b *board) thinned(rows uint64) { b.mu.Lock(); b.thin += rows; b.mu.Unlock() }

// heldBack counts the numbers that no row holds.
func (b *board) heldBack() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.truth {
		if b.withheld[x] {
			n++
		}
	}
	return n
}

// samples returns the numbers that were delivered and not withheld.
func (b *board) samples() []verify.Sample {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.truth), func(x verify.Sample) bool { return b.withheld[x] })
}
