package mailbox

// Batch is what one Take detached, on its way through the actor. It belongs to
// the goroutine that runs the actor; only Box.Take and Box.Return touch the box
// as well. A used-up Batch may be used again.
type Batch[M any] struct {
	Lane   Lane
	part   []M // handed out by Next, in inline or in current's buffer
	rest   queue[M]
	most   int32     // how many messages may be handed out
	left   int32     // and how many more
	slots  bool      // part lies in inline
	fresh  bool      // and was not handed out yet
	shared bool      // the lane's part of the round pays for it
	spent  *chunk[M] // the chunk that part was the last of
	since  int64
	inline [inlineSlots]M
}

// Next returns the next messages, oldest first, and nil at the end of the
// batch. They lie in the mailbox's memory: the caller clears each when it is
// handled, and reads none after the next call.
func (t *Batch[M]) Next(pool *Pool[M]) []M {
	if t.fresh {
		t.fresh = false
		return t.part
	}
	t.since = 0
	if t.spent != nil {
		pool.put(t.spent)
		t.spent = nil
	}
	c := t.rest.head
	if c == nil || t.left <= 0 {
		t.part = nil
		return nil
	}
	from, to := c.pos, min(c.n, c.pos+t.left)
	if from == 0 {
		t.since = c.since
	}
	c.pos = to
	t.left -= to - from
	t.part, t.slots = c.buf[from:to], false
	if to == c.n {
		t.rest.shift()
		t.spent = c
	}
	return t.part
}

// More reports whether Next has messages after the part that it returned last.
func (t *Batch[M]) More() bool { return t.rest.head != nil && t.left > 0 }

// Since is when the first message of the part that Next returned last was put,
// in the unit of Box.Stamp; 0 when that was not recorded. It answers once.
func (t *Batch[M]) Since() int64 {
	since := t.since
	t.since = 0
	return since
}

// Keep says that only the first n messages of the last part were handled;
// Return gives back the others.
func (t *Batch[M]) Keep(n int) { t.part = t.part[n:] }

// Spent says that the whole of the last part was handled.
func (t *Batch[M]) Spent() { t.part = nil }

// unread puts the part that was not handled before the rest.
func (t *Batch[M]) unread(pool *Pool[M]) {
	n := int32(len(t.part))
	c := t.spent
	t.spent, t.left, t.fresh, t.since = nil, 0, false, 0
	if c != nil && (n == 0 || t.slots) {
		pool.put(c)
	}
	switch {
	case n == 0:
		return
	case t.slots:
		var front queue[M]
		for _, m := range t.part {
			front.put(m, pool)
		}
		clear(t.inline[:])
		front.join(t.rest)
		t.rest = front
	case c != nil: // part is the end of a chunk that left rest
		c.pos -= n
		front := queue[M]{head: c, tail: c}
		front.join(t.rest)
		t.rest = front
	default: // part is the middle of rest's first chunk
		t.rest.head.pos -= n
	}
	t.part, t.slots = nil, false
}
