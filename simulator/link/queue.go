package link

import (
	"container/heap"
	"sync"
	"time"
)

const (
	// maxPacket is the largest datagram that is forwarded: Ethernet's MTU. QUIC
	// never sends more where the path does not take it (RFC 9000, 14).
	maxPacket = 1500
	// maxQueued bounds the packets on the way to 12 MB: 60 MB/s at 200 ms.
	maxQueued = 8192
)

// packet is a datagram on its way.
type packet struct {
	due  time.Time
	seq  uint64 // keeps the order of packets that are due together
	dir  Direction
	from *client
	n    int
	data [maxPacket]byte
}

// queue holds packets until they are due. It is safe for concurrent use.
type queue struct {
	mu   sync.Mutex
	heap packets
	seq  uint64
	wake chan struct{} // told when the first packet may have changed
	pool sync.Pool
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), pool: sync.Pool{New: func() any { return new(packet) }}}
}

// full says that add must not be called.
func (q *queue) full() bool { return q.len() >= maxQueued }

// add takes a copy of data. Its callers exclude each other and ask full first.
func (q *queue) add(due time.Time, d Direction, from *client, data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.pool.Get().(*packet)
	q.seq++
	p.due, p.seq, p.dir, p.from = due, q.seq, d, from
	p.n = copy(p.data[:], data)
	heap.Push(&q.heap, p)
	select {
	case q.wake <- struct{}{}:
	default: // it has been told already
	}
}

// next takes the first packet that is due at now. Without one it returns nil
// and how long until there is, negative when the queue is empty.
func (q *queue) next(now time.Time) (*packet, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 {
		return nil, -1
	}
	if wait := q.heap[0].due.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&q.heap).(*packet), 0
}

// clear takes the packets that match, due or not.
func (q *queue) clear(match func(*packet) bool) []*packet {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken, kept packets
	for _, p := range q.heap {
		if match(p) {
			taken = append(taken, p)
		} else {
			kept = append(kept, p)
		}
	}
	q.heap = kept
	heap.Init(&q.heap)
	return taken
}

// release gives back a packet that next or clear returned.
func (q *queue) release(p *packet) {
	p.from = nil
	q.pool.Put(p)
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.heap)
}

// packets is a heap by due time.
type packets []*packet

func (h packets) Len() int { return len(h) }
func (h packets) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h packets) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *packets) Push(x any)   { *h = append(*h, x.(*packet)) }

func (h *packets) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return p
}
