package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/unixsocket"
)

// ErrClosed is returned by a bus or a line after Close.
var ErrClosed = errors.New("remote: bus is closed")

// UnreachableError says that the board process did not answer: it is not
// there, it was restarted in the middle of a request, or it is stopped. Whether
// the device saw the request is unknown.
type UnreachableError struct {
	Bus string // or GPIO chip
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("remote: board of %s is unreachable: %v", e.Bus, e.Err)
}

// Unwrap returns what the socket said.
func (e *UnreachableError) Unwrap() error { return e.Err }

// client is the near end of a bus or a GPIO chip. One request at a time; when
// its connection broke, the next request dials again.
type client struct {
	socket, name string
	open         kind // kindOpen or kindOpenLines

	tx        sync.Mutex // held for a whole request; guards out and in
	out, in   []byte
	connected net.Conn // nil when the next request has to dial

	mu     sync.Mutex // guards what Close must reach during a request
	active net.Conn
	closed bool
}

func newClient(socket, name string, open kind) (*client, error) {
	if len(name) == 0 || len(name) > maxName {
		return nil, fmt.Errorf("remote: bus name %q: want 1 to %d bytes", name, maxName)
	}
	return &client{socket: socket, name: name, open: open}, nil
}

// dial connects for the first time.
func (c *client) dial(ctx context.Context) error {
	c.tx.Lock()
	defer c.tx.Unlock()
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	return c.connect(ctx)
}

// String returns the name.
func (c *client) String() string { return c.name }

// do sends the request that it appends to a buffer and reads the answer's data
// into r. An error of the far side is a *BusError with the kernel's words; any
// other is of the connection. accept, unless nil, says what is wrong with data
// that came whole.
func (c *client) do(request func(dst []byte) []byte, r []byte, accept func() error) error {
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
	c.out = request(c.out[:0])
	msg, err := c.exchange(deadline)
	if err == nil {
		err = parseAnswer(msg, r)
	}
	if err == nil && accept != nil {
		err = accept()
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
		return fmt.Errorf("remote: close %s: %w", c.name, err)
	}
	return nil
}

// connect dials and opens the bus or chip. The caller holds c.tx.
func (c *client) connect(ctx context.Context) error {
	conn, err := unixsocket.Dial(ctx, &net.Dialer{}, c.socket)
	if err != nil {
		return c.failure(err)
	}
	if !c.adopt(conn) {
		conn.Close()
		return ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ends the exchange
	c.out = appendOpen(c.out[:0], c.open, c.name)
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
		return fmt.Errorf("remote: %s at %s: %w", c.name, c.socket, err)
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

// adopt makes conn the connection unless the client was closed meanwhile.
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
	return &UnreachableError{Bus: c.name, Err: err}
}
