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

	"periph.io/x/conn/v3/i2c"
)

// Delivered is called after a transaction that succeeded and whose whole
// answer was written to the socket, before the next transaction of its bus: so
// the order of calls is the order of the bus. w and r are valid only during
// the call. It is not called for a transaction that failed or whose answer
// could not be written whole.
type Delivered func(bus string, addr uint16, w, r []byte)

// Serve answers on l with the given buses until ctx ends or l fails. It closes
// l and every connection, and returns when all of its goroutines have ended;
// after ctx ended the result is nil. after may be nil.
func Serve(ctx context.Context, l net.Listener, buses map[string]i2c.Bus, after Delivered, log *slog.Logger) error {
	s := &server{buses: make(map[string]*served, len(buses)), after: after, log: log, conns: make(map[net.Conn]struct{})}
	for name, b := range buses {
		s.buses[name] = &served{name: name, bus: b}
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
	buses map[string]*served // never changes
	after Delivered
	log   *slog.Logger
	wg    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	closed bool
}

// served is one bus; mu makes a transaction, its answer and its hook one step.
type served struct {
	name string
	mu   sync.Mutex
	bus  i2c.Bus
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
	bus, err := s.open(p)
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
		addr, w, n, err := parseTx(msg)
		if err != nil {
			return err
		}
		if err := s.transact(p, bus, addr, w, n); err != nil {
			return err
		}
	}
}

// open reads the first message and answers it.
func (s *server) open(p *peer) (*served, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(messageTimeout)); err != nil {
		return nil, err
	}
	msg, err := p.next()
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	name, err := parseOpen(msg)
	if err == nil && s.buses[name] == nil {
		names := slices.Sorted(maps.Keys(s.buses))
		err = fmt.Errorf("no bus %q on this board, it has %s", name, strings.Join(names, ", "))
	}
	if err != nil {
		// The refusal's own failure adds nothing to the reason.
		_ = p.answer(kindOpened, []byte(clip(err.Error())))
		return nil, fmt.Errorf("open: %w", err)
	}
	return s.buses[name], p.answer(kindOpened)
}

func (s *server) transact(p *peer, b *served, addr uint16, w []byte, n int) error {
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
	if s.after != nil {
		s.after(b.name, addr, w, r)
	}
	return nil
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
