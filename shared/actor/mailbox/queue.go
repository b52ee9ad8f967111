package mailbox

import "sync"

// chunk is a piece of a lane. Slots below pos are spent, slots from pos to n
// wait, slots from n are free.
type chunk[M any] struct {
	next  *chunk[M]
	since int64 // when the first message was put; 0 when not recorded
	pos   int32
	n     int32
	buf   [chunkSlots]M
}

// queue is a chain of chunks, none of them empty.
type queue[M any] struct {
	head, tail *chunk[M]
}

func (q *queue[M]) put(msg M, pool *Pool[M]) (began bool) {
	t := q.tail
	if t == nil || t.n == chunkSlots {
		began = true
		c := pool.get()
		if t == nil {
			q.head = c
		} else {
			t.next = c
		}
		q.tail, t = c, c
	}
	t.buf[t.n] = msg
	t.n++
	return began
}

// shift takes the first chunk off.
func (q *queue[M]) shift() *chunk[M] {
	c := q.head
	q.head, c.next = c.next, nil
	if q.head == nil {
		q.tail = nil
	}
	return c
}

// takeOne moves the oldest message into a batch of its own. The others stay: a
// chunk that the batch had would keep them out of reach.
func (q *queue[M]) takeOne(t *Batch[M]) {
	var none M
	c := q.head
	if c.pos == 0 {
		t.since = c.since
	}
	t.inline[0], c.buf[c.pos] = c.buf[c.pos], none
	if c.pos++; c.pos == c.n {
		t.spent = q.shift()
	}
	t.part, t.fresh, t.slots = t.inline[:1], true, true
	t.left = 0
}

// join appends another chain, which is then part of q.
func (q *queue[M]) join(young queue[M]) {
	switch {
	case young.head == nil:
	case q.head == nil:
		*q = young
	default:
		q.tail.next = young.head
		q.tail = young.tail
	}
}

// Pool recycles the chunks of all mailboxes of one message type. The zero Pool
// is ready; it is safe for concurrent use.
type Pool[M any] struct {
	chunks sync.Pool // *chunk[M]
}

func (p *Pool[M]) get() *chunk[M] {
	if c, ok := p.chunks.Get().(*chunk[M]); ok {
		return c
	}
	return new(chunk[M])
}

// put recycles a spent chunk. Whoever handled its messages cleared them.
func (p *Pool[M]) put(c *chunk[M]) {
	c.next, c.since, c.pos, c.n = nil, 0, 0, 0
	p.chunks.Put(c)
}
