package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
)

// Delivered is called after a transaction that succeeded and whose whole
// answer was written to the socket, before the next transaction of its bus: so
// the order of calls is the order of the bus. w and r are valid only during
// the call. It is not called for a transaction that failed or whose answer
// could not be written whole.
type Delivered func(bus string, addr uint16, w, r []byte)

// Chip is a board's GPIO chip. Its lines must be safe for one goroutine at a
// time. Of a line In, Out and Read are called.
type Chip interface {
	// Line returns the line at an offset, or why there is none.
	Line(offset int) (gpio.PinIO, error)
}

// Board is what is served, by name. A nil Delivered is not called.
type Board struct {
	Buses     map[string]i2c.Bus
	Chips     map[string]Chip
	Delivered Delivered
}

// Serve answers on l for a board until ctx ends or l fails. It closes l and
// every connection, and returns when all of its goroutines have ended; after ctx
// ended the result is nil.
func Serve(ctx context.Context, l net.Listener, b Board, log *slog.Logger) error {
	s := &server{offers: map[kind]map[string]offer{kindOpen: {}, kindOpenLines: {}}, log: log, conns: make(map[net.Conn]struct{})}
	for name, bus := range b.Buses {
		s.offers[kindOpen][name] = &servedBus{name: name, bus: bus, after: b.Delivered}
	}
	for name, chip := range b.Chips {
		s.offers[kindOpenLines][name] = &servedChip{chip: chip}
	}
	stop := context.AfterFunc(ctx, func() {
		l.Close() // Accept then fails, which is what ends the loop
		s.closeAll()
	})
	defer stop()
	err := s.accept(ctx, l)
	l.Close()
	s.closeAll()
	s.wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("remote: serve: %w", err)
}

type server struct {
	offers map[kind]map[string]offer // by the message that opens it and by name; never changes
	log    *slog.Logger
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	closed bool
}

// offer is a bus or a chip. serve does one request and answers it; its error
// ends the connection.
type offer interface {
	serve(p *peer, request []byte) error
}

func (s *server) accept(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		if !s.add(conn) {
			s.log.Warn("connection refused", "reason", "too many connections", "limit", maxConns)
			conn.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.remove(conn)
			if err := s.serve(conn); err != nil && ctx.Err() == nil {
				s.log.Warn("connection ended", "err", err)
			}
		})
	}
}

func (s *server) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= maxConns {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *server) remove(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
}

func (s *server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
}

// serve runs one connection. nil means that the client left between requests.
func (s *server) serve(conn net.Conn) error {
	p := &peer{conn: conn}
	opened, err := s.open(p)
	if err != nil {
		return err
	}
	for {
		msg, err := p.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := opened.serve(p, msg); err != nil {
			return err
		}
	}
}

// open reads the first message and answers it.
func (s *server) open(p *peer) (offer, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(messageTimeout)); err != nil {
		return nil, err
	}
	msg, err := p.next()
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	k, name, err := parseOpen(msg)
	if err == nil && s.offers[k][name] == nil {
		err = s.unknown(k, name)
	}
	if err != nil {
		// The refusal's own failure adds nothing to the reason.
		_ = p.answer(kindOpened, []byte(clip(err.Error())))
		return nil, fmt.Errorf("open: %w", err)
	}
	return s.offers[k][name], p.answer(kindOpened)
}

func (s *server) unknown(k kind, name string) error {
	what, has := "bus", "none"
	if k == kindOpenLines {
		what = "GPIO chip"
	}
	if names := slices.Sorted(maps.Keys(s.offers[k])); len(names) > 0 {
		has = strings.Join(names, ", ")
	}
	return fmt.Errorf("no %s %q on this board, it has %s", what, name, has)
}

// servedBus is one bus; mu makes a transaction, its answer and its hook one
// step.
type servedBus struct {
	name  string
	mu    sync.Mutex
	bus   i2c.Bus
	after Delivered
}

func (b *servedBus) serve(p *peer, request []byte) error {
	addr, w, n, err := parseTx(request)
	if err != nil {
		return err
	}
	if cap(p.read) < n {
		p.read = make([]byte, n)
	}
	r := p.read[:n]
	clear(r) // a bus that reads short must not show what another device said
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.bus.Tx(addr, w, r); err != nil {
		return p.answer(kindFailed, []byte(clip(err.Error())))
	}
	if err := p.answer(kindData, r); err != nil {
		return err
	}
	if b.after != nil {
		b.after(b.name, addr, w, r)
	}
	return nil
}

// servedChip is one GPIO chip; mu makes its requests follow each other.
type servedChip struct {
	mu   sync.Mutex
	chip Chip
}

func (c *servedChip) serve(p *peer, request []byte) error {
	q, err := parseLine(request)
	if err != nil {
		return err
	}
	data, err := c.do(q)
	if err != nil {
		return p.answer(kindFailed, []byte(clip(err.Error())))
	}
	return p.answer(kindData, data)
}

func (c *servedChip) do(q lineRequest) (data []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line, err := c.chip.Line(int(q.offset))
	if err != nil {
		return nil, err
	}
	switch q.kind {
	case kindIn:
		return nil, line.In(gpio.Pull(q.arg), gpio.NoEdge)
	case kindOut:
		return nil, line.Out(q.arg == 1)
	}
	if line.Read() {
		return []byte{1}, nil
	}
	return []byte{0}, nil
}

// peer is one connection and its buffers.
type peer struct {
	conn          net.Conn
	in, out, read []byte
}

// next waits for a message as long as it takes, and for the rest of a message
// that has begun only as long as messageTimeout.
func (p *peer) next() ([]byte, error) {
	msg, grown, err := readMessage(p.conn, p.in, func() error {
		return p.conn.SetReadDeadline(time.Now().Add(messageTimeout))
	})
	p.in = grown
	if err != nil {
		return nil, err
	}
	return msg, p.conn.SetReadDeadline(time.Time{})
}

func (p *peer) answer(k kind, parts ...[]byte) error {
	p.out = appendMessage(p.out[:0], k, parts...)
	if err := p.conn.SetWriteDeadline(time.Now().Add(messageTimeout)); err != nil {
		return err
	}
	_, err := p.conn.Write(p.out)
	return err
}
