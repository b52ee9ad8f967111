package actor

import "sync"

const (
	// inlineSlots messages live in the actor itself, so that an actor that gets
	// a message now and then never holds a chunk.
	inlineSlots = 2
	// chunkSlots messages share one pooled chunk: enough that a busy mailbox
	// takes its lock once in 15 messages, few enough that a short burst wastes
	// little.
	chunkSlots = 15
)

// chunk is a piece of a mailbox. Slots below pos are the consumer's or spent,
// slots from pos to n wait, slots from n are free.
type chunk[M any] struct {
	next *chunk[M]
	pos  int32
	n    int32
	buf  [chunkSlots]M
}

// mailbox is a FIFO of values. It has no lock: its owner serialises the calls.
// A batch that take returned may be read and cleared without the lock, because
// no other call touches its slots.
//
// Order: inline slots are older than chunks, since they are filled only while
// there is no chunk.
type mailbox[M any] struct {
	head, tail *chunk[M]
	count      int32 // accepted and not yet done, taken ones included
	inline     int32 // used inline slots
	slots      [inlineSlots]M
}

// put appends one message. The bound is the caller's business.
func (b *mailbox[M]) put(msg M, pool *sync.Pool) {
	b.count++
	if b.head == nil {
		if b.inline < inlineSlots {
			b.slots[b.inline] = msg
			b.inline++
			return
		}
		b.head = newChunk[M](pool)
		b.tail = b.head
	} else if b.tail.n == chunkSlots {
		b.tail.next = newChunk[M](pool)
		b.tail = b.tail.next
	}
	b.tail.buf[b.tail.n] = msg
	b.tail.n++
}

// take returns up to budget of the oldest messages, in order; none when the
// mailbox is empty. The batch lies in a chunk or in into, and is valid until
// the next take. The messages keep their room until done.
func (b *mailbox[M]) take(into *[inlineSlots]M, budget int32, pool *sync.Pool) []M {
	if b.inline > 0 {
		n := min(b.inline, budget)
		copy(into[:n], b.slots[:n])
		copy(b.slots[:], b.slots[n:b.inline])
		clear(b.slots[b.inline-n : b.inline])
		b.inline -= n
		return into[:n]
	}
	c := b.head
	if c != nil && c.pos == chunkSlots {
		b.head = c.next
		if b.head == nil {
			b.tail = nil
		}
		freeChunk(c, pool)
		c = b.head
	}
	if c == nil {
		return nil
	}
	from, to := c.pos, min(c.n, c.pos+budget)
	c.pos = to
	return c.buf[from:to]
}

// done gives back the room of n messages that were taken and handled.
func (b *mailbox[M]) done(n int32) { b.count -= n }

// rest lets an empty mailbox give its last chunk back.
func (b *mailbox[M]) rest(pool *sync.Pool) {
	if b.head != nil {
		freeChunk(b.head, pool)
		b.head, b.tail = nil, nil
	}
}

// discard empties the mailbox and returns how many messages were not done.
func (b *mailbox[M]) discard() int32 {
	n := b.count
	*b = mailbox[M]{}
	return n
}

func newChunk[M any](pool *sync.Pool) *chunk[M] {
	if c, ok := pool.Get().(*chunk[M]); ok {
		return c
	}
	return new(chunk[M])
}

// freeChunk pools a spent chunk. Its consumer cleared the slots that it handled.
func freeChunk[M any](c *chunk[M], pool *sync.Pool) {
	c.next, c.pos, c.n = nil, 0, 0
	pool.Put(c)
}
