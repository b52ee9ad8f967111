package remote

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// i2cBus is the near end of an I2C bus.
type i2cBus struct{ *client }

var _ i2c.BusCloser = i2cBus{}

// New returns the bus of that name without connecting to its board: the first
// transaction does. It is for a board that may come later than its gateway;
// everything else is as for Dial.
func New(socket, name string) (i2c.BusCloser, error) {
	c, err := newClient(socket, name, kindOpen)
	if err != nil {
		return nil, err
	}
	return i2cBus{c}, nil
}

// Dial opens the bus of that name at the board process that listens on the
// unix socket. It fails when the board is not there or has no such bus; later
// the bus connects again by itself, one attempt a transaction, and returns an
// *UnreachableError while it cannot. ctx bounds Dial alone.
//
// The bus is safe for several goroutines. Close ends a transaction in flight.
// SetSpeed always fails: the board's configuration holds the speed.
func Dial(ctx context.Context, socket, name string) (i2c.BusCloser, error) {
	c, err := newClient(socket, name, kindOpen)
	if err != nil {
		return nil, err
	}
	if err := c.dial(ctx); err != nil {
		return nil, err
	}
	return i2cBus{c}, nil
}

// SetSpeed implements i2c.Bus.
func (b i2cBus) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("remote: %s: the speed of a board's bus is set by the board", b.name)
}

// Tx implements i2c.Bus. An error of the far bus is a *BusError with the
// kernel's words; any other is of the connection.
func (b i2cBus) Tx(addr uint16, w, r []byte) error {
	if len(w) > MaxTransfer || len(r) > MaxTransfer {
		return fmt.Errorf("remote: %s: transfer of %d + %d bytes, at most %d each", b.name, len(w), len(r), MaxTransfer)
	}
	return b.do(func(dst []byte) []byte { return appendTx(dst, addr, w, len(r)) }, r, nil)
}
