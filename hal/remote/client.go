package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// ErrClosed is returned by a bus after Close.
var ErrClosed = errors.New("remote: bus is closed")

// UnreachableError says that the board process did not answer: it is not
// there, it was restarted in the middle of a transaction, or it is stopped.
// Whether the device saw the transaction is unknown.
type UnreachableError struct {
	Bus string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("remote: board of %s is unreachable: %v", e.Bus, e.Err)
}

// Unwrap returns what the socket said.
func (e *UnreachableError) Unwrap() error { return e.Err }

// client is the near end of a bus. One transaction at a time; when its
// connection broke, the next transaction dials again.
type client struct {
	socket, bus string

	tx        sync.Mutex // held for a whole transaction; guards out and in
	out, in   []byte
	connected net.Conn // nil when the next transaction has to dial

	mu     sync.Mutex // guards what Close must reach during a transaction
	active net.Conn
	closed bool
}

var _ i2c.BusCloser = (*client)(nil)

// New returns the bus of that name without connecting to its board: the first
// transaction does. It is for a board that may come later than its gateway;
// everything else is as for Dial.
func New(socket, bus string) (i2c.BusCloser, error) { return newClient(socket, bus) }

func newClient(socket, bus string) (*client, error) {
	if len(bus) == 0 || len(bus) > maxName {
		return nil, fmt.Errorf("remote: bus name %q: want 1 to %d bytes", bus, maxName)
	}
	return &client{socket: socket, bus: bus}, nil
}

// Dial opens the bus of that name at the board process that listens on the
// unix socket. It fails when the board is not there or has no such bus; later
// the bus connects again by itself, one attempt a transaction, and returns an
// *UnreachableError while it cannot. ctx bounds Dial alone.
//
// The bus is safe for several goroutines. Close ends a transaction in flight.
// SetSpeed always fails: the board's configuration holds the speed.
func Dial(ctx context.Context, socket, bus string) (i2c.BusCloser, error) {
	c, err := newClient(socket, bus)
	if err != nil {
		return nil, err
	}
	c.tx.Lock()
	defer c.tx.Unlock()
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// String returns the bus's name.
func (c *client) String() string { return c.bus }

// SetSpeed implements i2c.Bus.
func (c *client) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("remote: %s: the speed of a board's bus is set by the board", c.bus)
}

// Tx implements i2c.Bus. An error of the far bus is a *BusError with the
// kernel's words; any other is of the connection.
func (c *client) Tx(addr uint16, w, r []byte) error {
	if len(w) > MaxTransfer || len(r) > MaxTransfer {
		return fmt.Errorf("remote: %s: transfer of %d + %d bytes, at most %d each", c.bus, len(w), len(r), MaxTransfer)
	}
	c.tx.Lock()
	defer c.tx.Unlock()
	deadline := time.Now().Add(txTimeout)
	if c.connected == nil {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		if err := c.connect(ctx); err != nil {
			return err
		}
	}
	c.out = appendTx(c.out[:0], addr, w, len(r))
	msg, err := c.exchange(deadline)
	if err == nil {
		err = parseAnswer(msg, r)
	}
	var far *BusError
	if err == nil || errors.As(err, &far) {
		return err
	}
	c.disconnect()
	return c.failure(err)
}

// Close implements io.Closer. It is safe to call more than once.
func (c *client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.active == nil {
		return nil
	}
	err := c.active.Close()
	c.active = nil
	if err != nil {
		return fmt.Errorf("remote: close %s: %w", c.bus, err)
	}
	return nil
}

// connect dials and opens the bus. The caller holds c.tx.
func (c *client) connect(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.socket)
	if err != nil {
		return c.failure(err)
	}
	if !c.adopt(conn) {
		conn.Close()
		return ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ends the exchange
	c.out = appendOpen(c.out[:0], c.bus)
	deadline, _ := ctx.Deadline()
	msg, err := c.exchange(deadline)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err == nil {
		if err = parseOpened(msg); err == nil {
			return nil
		}
		c.disconnect()
		return fmt.Errorf("remote: %s at %s: %w", c.bus, c.socket, err)
	}
	c.disconnect()
	return c.failure(err)
}

// exchange sends c.out and returns the answer, valid until the next exchange.
func (c *client) exchange(deadline time.Time) ([]byte, error) {
	if err := c.connected.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := c.connected.Write(c.out); err != nil {
		return nil, err
	}
	msg, grown, err := readMessage(c.connected, c.in, nil)
	c.in = grown
	return msg, err
}

// adopt makes conn the connection unless the bus was closed meanwhile.
func (c *client) adopt(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.connected, c.active = conn, conn
	return true
}

func (c *client) disconnect() {
	c.connected.Close() // the error that led here is the one to report
	c.connected = nil
	c.mu.Lock()
	c.active = nil
	c.mu.Unlock()
}

func (c *client) failure(err error) error {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return &UnreachableError{Bus: c.bus, Err: err}
}
