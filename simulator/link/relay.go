// Package link is a bad network between two programs on one machine: a relay of
// UDP and TCP that cuts, heals, delays, reorders, doubles, slows down and drops,
// without root.
//
// A packet comes in at the listening socket, whose sender becomes a client with
// a socket of its own towards the target, as in a NAT; the shaper gives it a
// time when it is due, or a reason to be dropped; the queue holds it until then;
// one goroutine sends. Answers come back through the client's socket the same
// way. TCP connections to the same port number are forwarded beside it (tcp.go),
// under those conditions that the bytes of a stream can meet. The control is a
// small HTTP API, see Handler.
//
// It looks into no packet and changes none.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says between what a relay stands.
type Config struct {
	Listen string // UDP and TCP address where clients send to; port 0 takes a free one
	To     string // address of the target
	Seed   uint64 // of the random loss and jitter
}

// Relay is a relay. Open makes it, Run runs it.
type Relay struct {
	listen *net.UDPConn
	tcp    net.Listener
	to     *net.UDPAddr
	log    *slog.Logger
	queue  *queue
	count  counters
	wg     sync.WaitGroup

	mu         sync.Mutex // guards what follows
	conditions Conditions
	shaper     *shaper
	clients    map[netip.AddrPort]*client
	streams    map[*stream]struct{}
	changed    chan struct{} // closed when the conditions change
	closed     bool
}

// Open binds the listening socket. The relay forwards once Run runs.
func Open(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Relay, error) {
	to, err := net.ResolveUDPAddr("udp", cfg.To)
	if err != nil {
		return nil, fmt.Errorf("link: target: %w", err)
	}
	if to.Port == 0 || to.IP == nil {
		return nil, fmt.Errorf("link: target %q: want HOST:PORT", cfg.To)
	}
	udp, tcp, err := listen(ctx, cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	r := &Relay{
		listen: udp, tcp: tcp, to: to, log: log, queue: newQueue(), changed: make(chan struct{}),
		shaper: newShaper(cfg.Seed), clients: map[netip.AddrPort]*client{}, streams: map[*stream]struct{}{},
	}
	r.enlarge(r.listen)
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	r.count.register(reg, func() float64 { return float64(r.queue.len()) },
		func() float64 { return float64(r.State().Clients) }, func() float64 { return float64(r.State().TCPConnections) })
	return r, nil
}

// portTries is how often a port that is free for UDP may be taken for TCP.
const portTries = 16

// listen binds one port number for both.
func listen(ctx context.Context, addr string) (*net.UDPConn, net.Listener, error) {
	var err error
	for range portTries {
		var pc net.PacketConn
		if pc, err = new(net.ListenConfig).ListenPacket(ctx, "udp", addr); err != nil {
			return nil, nil, err
		}
		udp := pc.(*net.UDPConn)
		at := udp.LocalAddr().String()
		var tcp net.Listener
		if tcp, err = new(net.ListenConfig).Listen(ctx, "tcp", at); err == nil {
			return udp, tcp, nil
		}
		udp.Close()
		if at == addr {
			break // another try would find the same port
		}
	}
	return nil, nil, err
}

// Addr is where clients send to.
func (r *Relay) Addr() netip.AddrPort { return r.listen.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close gives up a relay that was never run.
func (r *Relay) Close() error { return errors.Join(r.listen.Close(), r.tcp.Close()) }

// Set changes the link's conditions through edit, at once for every packet that
// comes and, if it cuts, for those on the way. It returns the new ones.
func (r *Relay) Set(edit func(*Conditions)) Conditions {
	r.mu.Lock()
	edit(&r.conditions)
	c := r.conditions
	r.shaper.clear(c)
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	// A cable holds nothing back when it is cut.
	r.flush(DropCut, func(p *packet) bool { return c.cut(p.dir) })
	return c
}

// flush drops what matches of what is on its way.
func (r *Relay) flush(reason Reason, match func(*packet) bool) {
	for _, p := range r.queue.clear(match) {
		r.count.drop(p.dir, reason)
		r.queue.release(p)
	}
}

// Run forwards until ctx ends, which is a clean stop and nil; then every socket
// is closed and every goroutine has ended.
func (r *Relay) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { r.Close() }) // ends receive and accept
	defer stop()
	r.wg.Go(func() { r.send(ctx) })
	r.wg.Go(func() { r.accept(ctx) })
	err := r.receive()
	cancel()
	r.closeAll()
	r.wg.Wait()
	r.flush(DropStopped, func(*packet) bool { return true })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("link: %w", err)
}

// receive takes the clients' packets until the socket fails.
func (r *Relay) receive() error {
	var buf [maxPacket + 1]byte // one more tells a larger packet
	for {
		n, from, err := r.listen.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return err
		}
		c, reason := r.clientOf(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		if reason != Passed {
			r.count.drop(Up, reason)
			continue
		}
		r.admit(Up, c, buf[:n])
	}
}

// admit puts a packet on its way or drops it.
func (r *Relay) admit(d Direction, c *client, data []byte) {
	if len(data) > maxPacket {
		r.count.drop(d, DropSize)
		return
	}
	if reason := r.enqueue(d, c, data, time.Now()); reason != Passed {
		r.count.drop(d, reason)
	}
}

// enqueue asks the shaper only about packets that the queue takes: one that is
// dropped does not occupy the line.
func (r *Relay) enqueue(d Direction, c *client, data []byte, now time.Time) Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.seen = now
	if r.queue.full() {
		return DropQueue
	}
	due, reason := r.shaper.admit(r.conditions, d, len(data), now)
	if reason != Passed {
		return reason
	}
	r.queue.add(due, d, c, data)
	if due, doubled := r.shaper.again(r.conditions, now); doubled && !r.queue.full() {
		r.count.copies[d].Add(1)
		r.queue.add(due, d, c, data)
	}
	return Passed
}

// send forwards packets when they are due.
func (r *Relay) send(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p, wait := r.queue.next(time.Now())
		if p != nil {
			r.forward(p)
			r.queue.release(p)
			continue
		}
		var due <-chan time.Time
		if wait >= 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-r.queue.wake:
		case <-due:
		}
	}
}

func (r *Relay) forward(p *packet) {
	if r.Conditions().cut(p.dir) { // it came in while the cut was made
		r.count.drop(p.dir, DropCut)
		return
	}
	var err error
	if p.dir == Up {
		_, err = p.from.up.Load().Write(p.data[:p.n])
	} else {
		_, err = r.listen.WriteToUDPAddrPort(p.data[:p.n], p.from.addr)
	}
	if err != nil {
		r.count.drop(p.dir, DropUnreachable)
		return
	}
	r.count.packets[p.dir].Add(1)
	r.count.bytes[p.dir].Add(uint64(p.n))
}

// Conditions returns the present ones.
func (r *Relay) Conditions() Conditions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conditions
}
