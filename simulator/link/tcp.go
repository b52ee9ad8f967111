package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// maxStreams bounds the TCP connections through the relay.
	maxStreams = 256
	// chunkSize is how much of a stream is on its way as one, and maxChunks how
	// many of them may be each way: what a window of 1 MiB holds.
	chunkSize = 16 << 10
	maxChunks = 64
	// lineAhead is how long a line of a limited rate may be taken by what was
	// read: the queue of a router. What is beyond waits in its sender.
	lineAhead = 200 * time.Millisecond
	// dialTimeout is how long the target may take to accept.
	dialTimeout = 5 * time.Second
)

// stream is one TCP connection through the relay. Its bytes meet the link's
// delay and rate. A cut holds them back instead of losing them, as their senders
// would send them again until it is healed; jitter, loss and copies are TCP's
// own affair and do not reach a stream's bytes.
type stream struct {
	near, far net.Conn // far is nil until the target has accepted; guarded by mu
	mu        sync.Mutex
	ended     context.CancelFunc
}

// close ends both sides at once.
func (s *stream) close() {
	s.ended()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.near.Close() // what the other side has not read is lost, as in a real end
	if s.far != nil {
		s.far.Close()
	}
}

// accept takes connections until the listener is closed.
func (r *Relay) accept(ctx context.Context) {
	for {
		conn, err := r.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.log.Warn("accept", "err", err)
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		s := &stream{near: conn, ended: cancel}
		if !r.enter(s) {
			r.count.drop(Up, DropClients)
			s.close()
			continue
		}
		r.wg.Go(func() {
			defer r.leave(s)
			r.join(ctx, s)
		})
	}
}

func (r *Relay) enter(s *stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.streams) >= maxStreams {
		return false
	}
	r.streams[s] = struct{}{}
	return true
}

func (r *Relay) leave(s *stream) {
	s.close()
	r.mu.Lock()
	delete(r.streams, s)
	r.mu.Unlock()
}

// join carries both ways until one side has ended.
func (r *Relay) join(ctx context.Context, s *stream) {
	if !r.passable(ctx, Up) || !r.passable(ctx, Down) { // a handshake needs both
		return
	}
	far, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", r.to.String())
	if err != nil {
		r.count.drop(Up, DropUnreachable)
		return
	}
	s.mu.Lock()
	s.far = far
	s.mu.Unlock()
	if ctx.Err() != nil {
		return // closed meanwhile: leave closes far
	}
	var both sync.WaitGroup
	both.Go(func() { r.carry(ctx, s, Up, s.near, far) })
	both.Go(func() { r.carry(ctx, s, Down, far, s.near) })
	both.Wait()
}

// passable waits while a direction is cut; false: the stream has ended.
func (r *Relay) passable(ctx context.Context, d Direction) bool {
	for {
		r.mu.Lock()
		cut, changed := r.conditions.cut(d), r.changed
		r.mu.Unlock()
		if !cut {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// chunk is a piece of a stream on its way.
type chunk struct {
	data []byte
	due  time.Time
}

// carry forwards one direction. An end of it is passed on; a fault ends the
// connection.
func (r *Relay) carry(ctx context.Context, s *stream, d Direction, from, to net.Conn) {
	way := make(chan chunk, maxChunks)
	var sender sync.WaitGroup
	sender.Go(func() {
		if err := r.deliver(ctx, d, way, to); err != nil {
			s.close()
		}
		for range way { // the reader must not wait for ever
		}
	})
	buf := make([]byte, chunkSize)
	for {
		n, err := from.Read(buf[:r.portion()])
		if n > 0 {
			now := time.Now()
			r.mu.Lock()
			due := r.shaper.line(r.conditions, d, n, now)
			busy := due.Sub(now) - r.conditions.Delay
			r.mu.Unlock()
			way <- chunk{append([]byte(nil), buf[:n]...), due}
			if !rest(ctx, busy-lineAhead) {
				break
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.close()
			}
			break
		}
	}
	close(way)
	sender.Wait()
}

// portion is how much of a stream is read at a time: what the line takes in
// lineAhead, or a chunk.
func (r *Relay) portion() int {
	kbps := r.Conditions().Kbps
	if kbps == 0 {
		return chunkSize
	}
	return int(min(chunkSize, max(1, kbps*lineAhead.Milliseconds()/8)))
}

// rest waits; false: the stream has ended.
func rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// deliver writes what is due, and passes the end on.
func (r *Relay) deliver(ctx context.Context, d Direction, way <-chan chunk, to net.Conn) error {
	for c := range way {
		if !rest(ctx, time.Until(c.due)) || !r.passable(ctx, d) {
			return context.Canceled
		}
		if _, err := to.Write(c.data); err != nil {
			return err
		}
		r.count.tcp[d].Add(uint64(len(c.data)))
	}
	return to.(*net.TCPConn).CloseWrite()
}
