package actor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/envelope"
	"github.com/atrium-iot/atrium/shared/actor/mailbox"
)

const (
	// maxOutbox is how many messages may wait for one node: what 16 requests
	// carry. A node that does not keep up with that needs fewer messages.
	maxOutbox = 16 * envelope.MaxBatch
	// maxOutboxBytes bounds their bodies and names, and maxWaitingBytes those
	// for all nodes: what a small gateway can spare.
	maxOutboxBytes  = 4 << 20
	maxWaitingBytes = 32 << 20
	// maxPeers is how many nodes are remembered. Beyond it, those with nothing
	// on its way are forgotten for new ones.
	maxPeers = 1024
	// searchers are the outboxes of actors that were not located yet, so that a
	// slow search holds up one in so many of the others.
	searchers = 16
	// maxSearches is how many actors of a load are looked for at once.
	maxSearches = 16
	// exchangeLimit is how long a node may take to accept messages that nobody
	// waits for, and the search for their actors: longer than it takes to notice
	// that an owner has died.
	exchangeLimit = 5 * time.Second
)

// courier carries the messages of one system to other nodes. Those of Tell wait
// in one outbox a node, whose goroutine exists while something waits. Wait and
// Ask use their caller's goroutine.
type courier struct {
	transport Transport
	engine    *Engine
	self      string // this node's address
	counts    *remoteCounts
	ctx       context.Context // ends when the system's Stop ran out of time
	cancel    context.CancelFunc
	chunks    mailbox.Pool[parcel]
	inbox     inbox

	mu      sync.Mutex
	peers   map[string]*peer
	routes  map[PID]*route  // by place.told, while parcels wait
	search  [searchers]peer // outboxes without an address
	bytes   int             // of all outboxes
	sending int             // goroutines
	closing bool
	quiet   chan struct{} // closed when closing and sending is 0
}

// peer is another node, or a searcher.
type peer struct {
	address string // "" for a searcher
	line    uint64 // names the sequence of requests to it
	turn    chan struct{}

	// Under the courier's lock.
	seq     uint64 // of the last request
	settled uint64 // of the last one of mode Tell that ended
	busy    int    // exchanges that go on
	box     mailbox.Box[parcel]
	bytes   int
	sending bool
}

// parcel is a message that waits in an outbox, or the mark of a caller that
// waits until what was told before has gone.
type parcel struct {
	place   *place
	message envelope.Message
	account *stats
	reached chan struct{} // of a mark
}

// place is what a Ref knows about where its actor is.
type place struct {
	told    PID    // what RefAt was given
	address string // "" when it was not located; under the courier's lock
}

// route keeps the messages to one actor in one outbox while any wait there, so
// that they stay in order when the actor moves.
type route struct {
	peer    *peer
	parcels int
}

func newCourier(e *Engine, t Transport) *courier {
	c := &courier{
		transport: t,
		engine:    e,
		self:      e.system.address,
		counts:    newRemoteCounts(e.system.registerer),
		peers:     make(map[string]*peer),
		routes:    make(map[PID]*route),
		quiet:     make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// tell puts messages into the outbox, in order, as many as have room.
func (c *courier) tell(to *place, lane Lane, account *stats, messages ...envelope.Message) (accepted int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		if err := c.putLocked(lane, parcel{place: to, message: m, account: account}); err != nil {
			return accepted, err
		}
		accepted++
	}
	return accepted, nil
}

func (c *courier) putLocked(lane Lane, p parcel) error {
	if c.closing {
		return ErrSystemStopped
	}
	r := c.routes[p.place.told]
	if r == nil {
		r = &route{peer: c.outboxLocked(p.place)}
	}
	to := r.peer
	size := p.message.Size()
	room := to.box.Size() < maxOutbox && to.bytes+size <= maxOutboxBytes && c.bytes+size <= maxWaitingBytes
	if lane == Control {
		room = to.box.ControlSize() < controlReserve
	}
	if !room {
		return ErrMailboxFull
	}
	to.box.Put(lane, p, &c.chunks)
	to.bytes += size
	c.bytes += size
	r.parcels++
	c.routes[p.place.told] = r
	if !to.sending {
		to.sending = true
		c.sending++
		go c.send(to)
	}
	return nil
}

// outboxLocked is the outbox of a place: its node's, or a searcher.
func (c *courier) outboxLocked(at *place) *peer {
	if at.address == "" {
		h := uint32(0)
		for _, b := range []byte(at.told.ID) {
			h = h*31 + uint32(b)
		}
		return &c.search[h%searchers]
	}
	return c.peerLocked(at.address)
}

// peerLocked returns a node.
func (c *courier) peerLocked(address string) *peer {
	if p := c.peers[address]; p != nil {
		return p
	}
	if len(c.peers) >= maxPeers {
		for _, p := range c.peers {
			if !p.sending && p.busy == 0 {
				delete(c.peers, p.address)
				break
			}
		}
	}
	p := &peer{address: address, line: rand.Uint64(), turn: make(chan struct{}, 1)}
	c.peers[address] = p
	return p
}

// waiting is how many messages to an actor wait in an outbox.
func (c *courier) waiting(told PID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.routes[told]; r != nil {
		return r.parcels
	}
	return 0
}

func (c *courier) addressOf(at *place) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return at.address
}

// remember notes where an actor was found.
func (c *courier) remember(at *place, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at.address = address
}

// stop refuses further messages and waits until none waits. When ctx ends
// before that, it ends all exchanges: the rest are dead letters.
func (c *courier) stop(ctx context.Context) error {
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		c.quietLocked()
	}
	c.mu.Unlock()
	defer c.cancel()
	select {
	case <-c.quiet:
		return nil
	default:
	}
	select {
	case <-c.quiet:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("messages to other nodes were not delivered: %w", ctx.Err())
	}
}

func (c *courier) quietLocked() {
	if c.closing && c.sending == 0 {
		close(c.quiet)
	}
}
