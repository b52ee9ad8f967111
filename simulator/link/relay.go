// Package link is a bad network between two programs on one machine: a UDP
// relay that cuts, heals, delays, reorders, slows down and drops, without root.
//
// A packet comes in at the listening socket, whose sender becomes a client with
// a socket of its own towards the target, as in a NAT; the shaper gives it a
// time when it is due, or a reason to be dropped; the queue holds it until then;
// one goroutine sends. Answers come back through the client's socket the same
// way. The control is a small HTTP API, see Handler.
//
// It looks into no packet, changes none, and forwards UDP alone.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxClients bounds the table and so sockets and goroutines. A link stands
	// before a few gateways, each of which keeps one port for life.
	maxClients = 256
	// idle is after how long without a packet a client is forgotten: well above
	// the 30 s after which QUIC gives up a silent connection.
	idle = 2 * time.Minute
	// socketBuffer is asked of the kernel, which may give less.
	socketBuffer = 1 << 20
)

// Config says between what a relay stands.
type Config struct {
	Listen string // UDP address where clients send to; port 0 takes a free one
	To     string // UDP address of the target
	Seed   uint64 // of the random loss and jitter
}

// Relay is a UDP relay. Open makes it, Run runs it.
type Relay struct {
	listen *net.UDPConn
	to     *net.UDPAddr
	log    *slog.Logger
	queue  *queue
	count  counters
	wg     sync.WaitGroup

	mu         sync.Mutex // guards what follows
	conditions Conditions
	shaper     *shaper
	clients    map[netip.AddrPort]*client
	closed     bool
}

// client is a sender and its socket towards the target.
type client struct {
	addr netip.AddrPort
	up   *net.UDPConn
	seen time.Time // of the last packet either way; guarded by Relay.mu
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
	pc, err := new(net.ListenConfig).ListenPacket(ctx, "udp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	r := &Relay{
		listen: pc.(*net.UDPConn), to: to, log: log, queue: newQueue(),
		shaper: newShaper(cfg.Seed), clients: map[netip.AddrPort]*client{},
	}
	r.enlarge(r.listen)
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	r.count.register(reg, func() float64 { return float64(r.queue.len()) }, func() float64 { return float64(r.State().Clients) })
	return r, nil
}

// Addr is where clients send to.
func (r *Relay) Addr() netip.AddrPort { return r.listen.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close gives up a relay that was never run.
func (r *Relay) Close() error { return r.listen.Close() }

// Set changes the link's conditions through edit, at once for every packet that
// comes and, if it cuts, for those on the way. It returns the new ones.
func (r *Relay) Set(edit func(*Conditions)) Conditions {
	r.mu.Lock()
	edit(&r.conditions)
	c := r.conditions
	if c.Cut {
		r.shaper.clear()
	}
	r.mu.Unlock()
	if c.Cut {
		r.flush(DropCut) // a cable holds nothing back when it is cut
	}
	return c
}

// flush drops what is on its way.
func (r *Relay) flush(reason Reason) {
	for _, p := range r.queue.clear() {
		r.count.drop(p.dir, reason)
		r.queue.release(p)
	}
}

// Run forwards until ctx ends, which is a clean stop and nil; then every socket
// is closed and every goroutine has ended.
func (r *Relay) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { r.listen.Close() }) // ends receive
	defer stop()
	r.wg.Go(func() { r.send(ctx) })
	err := r.receive()
	cancel()
	r.closeAll()
	r.wg.Wait()
	r.flush(DropStopped)
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

// answers takes the target's packets for one client until it has been idle.
func (r *Relay) answers(c *client) {
	var buf [maxPacket + 1]byte
	for {
		if err := c.up.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return // closed
		}
		n, err := c.up.Read(buf[:])
		switch {
		case err == nil:
			r.admit(Down, c, buf[:n])
		case errors.Is(err, syscall.ECONNREFUSED):
			// ICMP: the packet that went up found its port closed.
			r.count.drop(Up, DropUnreachable)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.forget(c) {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			r.log.Warn("client's socket failed", "client", c.addr, "err", err)
			r.remove(c)
			return
		}
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
	if reason == Passed {
		r.queue.add(due, d, c, data)
	}
	return reason
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
	if r.Conditions().Cut { // it came in while the cut was made
		r.count.drop(p.dir, DropCut)
		return
	}
	var err error
	if p.dir == Up {
		_, err = p.from.up.Write(p.data[:p.n])
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

// clientOf finds or makes the client of an address.
func (r *Relay) clientOf(addr netip.AddrPort) (*client, Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.clients[addr]
	switch {
	case ok:
		return c, Passed
	case r.closed || len(r.clients) >= maxClients:
		return nil, DropClients
	}
	up, err := net.DialUDP("udp", nil, r.to)
	if err != nil {
		r.log.Warn("no socket for a client", "client", addr, "err", err)
		return nil, DropUnreachable
	}
	r.enlarge(up)
	c = &client{addr: addr, up: up, seen: time.Now()}
	r.clients[addr] = c
	r.wg.Go(func() { r.answers(c) })
	return c, Passed
}

// enlarge asks for a larger buffer; a kernel that refuses costs only drops.
func (r *Relay) enlarge(c *net.UDPConn) {
	if err := errors.Join(c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer)); err != nil {
		r.log.Debug("socket buffer", "err", err)
	}
}

// forget removes c if it has been idle.
func (r *Relay) forget(c *client) bool {
	r.mu.Lock()
	idled := time.Since(c.seen) >= idle
	r.mu.Unlock()
	if idled {
		r.remove(c)
	}
	return idled
}

func (r *Relay) remove(c *client) {
	r.mu.Lock()
	if r.clients[c.addr] == c {
		delete(r.clients, c.addr)
	}
	r.mu.Unlock()
	c.up.Close() // nothing is buffered in a datagram socket that could be lost
}

func (r *Relay) closeAll() {
	r.mu.Lock()
	r.closed = true
	all := slices.Collect(maps.Values(r.clients))
	r.mu.Unlock()
	for _, c := range all {
		r.remove(c)
	}
}
