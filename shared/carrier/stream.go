package carrier

import (
	"context"
	"fmt"
	"os"
	"time"
)

// tcpStream is one of a TCP connection's streams, both directions of it. It
// lasts as long as the connection.
type tcpStream struct {
	conn               *tcpConn
	readable, writable chan struct{} // look again

	// Guarded by conn.mu. What comes:
	inbox    []byte
	granted  uint64 // bytes that the other side may send in all
	received uint64
	consumed uint64 // of these, read

	// What goes:
	outbox  []byte // of the Write under way
	allowed uint64 // bytes that may be sent in all
	sent    uint64

	readDeadline, writeDeadline time.Time
}

func (s *tcpStream) SetReadDeadline(t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.readDeadline = t
	return nil
}

func (s *tcpStream) SetWriteDeadline(t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.writeDeadline = t
	return nil
}

// Read returns what has come. What came before the connection's end is still
// read after it.
func (s *tcpStream) Read(p []byte) (int, error) {
	for {
		s.conn.mu.Lock()
		n := copy(p, s.inbox)
		s.inbox = s.inbox[n:]
		if len(s.inbox) == 0 {
			s.inbox = nil // an idle stream holds no memory
		}
		s.consumed += uint64(n)
		if s.windowDue() {
			s.conn.look()
		}
		deadline := s.readDeadline
		s.conn.mu.Unlock()
		if n > 0 || len(p) == 0 {
			return n, nil
		}
		if err := s.wait(s.readable, deadline); err != nil {
			return 0, err
		}
	}
}

// Write returns when all of p is on its way to the socket.
func (s *tcpStream) Write(p []byte) (int, error) {
	s.conn.mu.Lock()
	s.outbox = p
	deadline := s.writeDeadline
	s.conn.mu.Unlock()
	s.conn.look()
	var err error
	for {
		s.conn.mu.Lock()
		left := len(s.outbox)
		if err != nil {
			s.outbox = nil // p is the caller's again
		}
		s.conn.mu.Unlock()
		if left == 0 || err != nil {
			return len(p) - left, err
		}
		err = s.wait(s.writable, deadline)
	}
}

// wait returns after a change, or with the reason not to wait on.
func (s *tcpStream) wait(changed <-chan struct{}, deadline time.Time) error {
	ctx := s.conn.ctx
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline, os.ErrDeadlineExceeded)
		defer cancel()
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// takeLocked takes bytes that came.
func (s *tcpStream) takeLocked(b []byte) error {
	if uint64(len(b)) > s.granted-s.received {
		return fmt.Errorf("%w: more than a stream's window", errRecord)
	}
	s.received += uint64(len(b))
	s.inbox = append(s.inbox, b...)
	poke(s.readable)
	return nil
}

// windowDue says whether the other side should be told of room.
func (s *tcpStream) windowDue() bool {
	return s.granted > 0 && s.consumed+window >= s.granted+windowStep
}

// nextLocked takes bytes that may be sent now, at most limit. They are the
// writer's until the lock is left.
func (s *tcpStream) nextLocked(limit int) []byte {
	n := int(min(uint64(min(len(s.outbox), limit)), s.allowed-s.sent))
	b := s.outbox[:n]
	s.outbox = s.outbox[n:]
	s.sent += uint64(n)
	if n > 0 && len(s.outbox) == 0 {
		poke(s.writable)
	}
	return b
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
