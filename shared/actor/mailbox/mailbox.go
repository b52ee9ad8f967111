// Package mailbox holds the messages of one actor until they are handled: four
// lanes of values, each first in, first out.
//
// Put appends a value to its lane. Take detaches a batch of the lane whose turn
// it is; the batch is worked on in place, part by part, and what is left of it
// is given back with Return, before everything younger of its lane. Two values
// of the normal lane lie in the box itself, all others in pooled chunks, so an
// actor with nothing to do holds no buffer.
//
// A Box has no lock, no bound and no opinion: its owner serialises the calls
// and decides what is refused. The parts of a batch are read without the lock.
package mailbox

// Lane is the priority of a message within one mailbox.
type Lane uint8

// The lanes. Control goes before all others; the rest share the actor in
// rounds: of 13 messages 8 are High, 4 Normal and 1 Bulk while all three have
// some. A waiting lane is served soon whatever the others do: High has at most
// 5 of their messages before its next one, Normal 9, Bulk 12.
const (
	Normal Lane = iota // the zero value
	High
	Bulk
	Control
	Lanes = 4
)

// String names the lane as metrics and configuration do.
func (l Lane) String() string {
	return [Lanes]string{"normal", "high", "bulk", "control"}[l&3]
}

// round is how many messages of a lane one round may take.
var round = [Lanes]int32{Normal: 4, High: 8, Bulk: 1}

const (
	// inlineSlots messages live in the box itself, so that an actor that gets a
	// message now and then never holds a chunk.
	inlineSlots = 2
	// chunkSlots messages share one pooled chunk: enough that a busy mailbox
	// seldom needs another, few enough that a short burst wastes little.
	chunkSlots = 15
)

// Box is one mailbox. The zero Box is empty.
type Box[M any] struct {
	normal queue[M]
	more   *others[M] // nil until a lane other than Normal is used
	slots  [inlineSlots]M
	size   int32 // put on lanes with a bound and not done, taken ones included
	inline int8  // used slots; they are older than all chunks of normal
}

// others are the lanes that most boxes never use.
type others[M any] struct {
	lanes   [Lanes]queue[M] // by Lane; Normal's stays empty
	credit  [Lanes]int32    // what is left of the round
	waiting int32           // in lanes
	user    int32           // of High and Bulk, taken ones included
	control int32           // of Control, taken ones included
}

// Size is how many messages were put on High, Normal and Bulk and are not done:
// the ones taken count.
func (b *Box[M]) Size() int32 { return b.size }

// ControlSize is Size for the control lane.
func (b *Box[M]) ControlSize() int32 {
	if b.more == nil {
		return 0
	}
	return b.more.control
}

// NormalSize is Size for the normal lane.
func (b *Box[M]) NormalSize() int32 {
	if b.more == nil {
		return b.size
	}
	return b.size - b.more.user
}

// Put appends a message and reports whether it began a new chunk.
func (b *Box[M]) Put(lane Lane, msg M, pool *Pool[M]) (began bool) {
	if lane != Normal {
		return b.putOther(lane, msg, pool)
	}
	b.size++
	if b.normal.head == nil && b.inline < inlineSlots {
		b.slots[b.inline] = msg
		b.inline++
		return false
	}
	return b.normal.put(msg, pool)
}

func (b *Box[M]) putOther(lane Lane, msg M, pool *Pool[M]) (began bool) {
	if b.more == nil {
		b.more = new(others[M])
	}
	b.more.waiting++
	if lane == Control {
		b.more.control++
	} else {
		b.size++
		b.more.user++
	}
	return b.more.lanes[lane].put(msg, pool)
}

// Stamp marks the youngest chunk of a lane with the time of its first message.
// It follows a Put that began the chunk.
func (b *Box[M]) Stamp(lane Lane, now int64) {
	if lane == Normal {
		b.normal.tail.since = now
		return
	}
	b.more.lanes[lane].tail.since = now
}

// Take detaches up to most messages of one lane into t and reports whether
// there were any. The batch before it must have been returned, if only to say
// that nothing is left. The messages count in Size until Done. A batch may hold
// more of the lane than it hands out, where Shift does not find them; one of a
// single message does not.
func (b *Box[M]) Take(t *Batch[M], most int32) bool {
	if b.more != nil && b.more.waiting > 0 {
		return b.takeLane(t, most)
	}
	t.Lane = Normal
	if b.inline == 0 && b.normal.head == nil {
		return false
	}
	b.takeNormal(t, most)
	return true
}

// Bring makes t a batch of one message that did not come by Put, as if it were
// the oldest of the normal lane. It counts in Size until Done, beyond any bound
// that Put's caller keeps.
func (b *Box[M]) Bring(t *Batch[M], msg M) {
	b.size++
	t.Lane = Normal
	t.inline[0] = msg
	t.part, t.fresh, t.slots = t.inline[:1], true, true
	t.left = 0
}

func (b *Box[M]) takeNormal(t *Batch[M], most int32) {
	t.most, t.left = most, most
	if b.inline > 0 {
		n := min(int32(b.inline), most)
		t.part = t.inline[:n]
		copy(t.part, b.slots[:n])
		kept := copy(b.slots[:], b.slots[n:b.inline])
		clear(b.slots[kept:])
		b.inline = int8(kept)
		t.left -= n
		t.fresh, t.slots = true, true
		if kept > 0 || t.left == 0 {
			return // slots are older than chunks
		}
	}
	if most == 1 {
		b.normal.takeOne(t)
		return
	}
	t.rest, b.normal = b.normal, queue[M]{}
}

// takeLane chooses the lane: Control first, then the highest that has credit
// in this round.
func (b *Box[M]) takeLane(t *Batch[M], most int32) bool {
	o := b.more
	if o.lanes[Control].head != nil {
		b.detach(t, Control, most)
		return true
	}
	normal := b.inline > 0 || b.normal.head != nil
	for range 2 {
		for _, lane := range [...]Lane{High, Normal, Bulk} {
			if o.credit[lane] == 0 || lane == Normal && !normal || lane != Normal && o.lanes[lane].head == nil {
				continue
			}
			b.detach(t, lane, min(most, o.credit[lane]))
			t.shared = true
			return true
		}
		o.credit = round
	}
	return false
}

// spend takes n messages of a lane off the round. A lane that has had its part
// ends the part of those above it, which had no message when it was served:
// else they could come twice in a row.
func (o *others[M]) spend(lane Lane, n int32) {
	o.credit[lane] -= n
	if o.credit[lane] > 0 {
		return
	}
	switch lane {
	case Normal:
		o.credit[High] = 0
	case Bulk:
		o.credit = [Lanes]int32{}
	}
}

func (b *Box[M]) detach(t *Batch[M], lane Lane, most int32) {
	t.Lane = lane
	if lane == Normal {
		b.takeNormal(t, most)
		return
	}
	t.most, t.left = most, most
	if most == 1 {
		b.more.waiting--
		b.more.lanes[lane].takeOne(t)
		return
	}
	c := b.more.lanes[lane].shift() // one chunk: a round takes no more
	t.rest = queue[M]{head: c, tail: c}
	b.more.waiting -= c.n - c.pos
}

// Return gives back what is left of a batch: it becomes the oldest of its lane
// again.
func (b *Box[M]) Return(t *Batch[M], pool *Pool[M]) {
	if t.shared {
		t.shared = false
		b.more.spend(t.Lane, t.most-t.left-int32(len(t.part)))
	}
	t.unread(pool)
	if t.rest.head == nil {
		return
	}
	if t.Lane == Normal {
		if b.inline > 0 { // younger than what comes back, older than all chunks
			young := queue[M]{}
			for i := range b.inline {
				young.put(b.slots[i], pool)
			}
			clear(b.slots[:])
			b.inline = 0
			young.join(b.normal)
			b.normal = young
		}
		t.rest.join(b.normal)
		b.normal, t.rest = t.rest, queue[M]{}
		return
	}
	b.more.waiting += t.rest.head.n - t.rest.head.pos // detach took one chunk
	t.rest.join(b.more.lanes[t.Lane])
	b.more.lanes[t.Lane], t.rest = t.rest, queue[M]{}
}

// Done gives back the room of n messages of a lane that were taken.
func (b *Box[M]) Done(lane Lane, n int32) {
	if lane == Control {
		b.more.control -= n
		return
	}
	b.size -= n
	if lane != Normal {
		b.more.user -= n
	}
}

// Hold counts n messages of the normal lane that did not come by Put: they are
// not done.
func (b *Box[M]) Hold(n int32) { b.size += n }

// Prepend makes messages that were taken, and are not done, the oldest of the
// normal lane again, in their order.
func (b *Box[M]) Prepend(msgs []M, pool *Pool[M]) {
	t := Batch[M]{Lane: Normal}
	for _, m := range msgs {
		t.rest.put(m, pool)
	}
	b.Return(&t, pool)
}

// Shift removes the oldest waiting message of a lane, for a box that makes room
// by dropping. Its room is given back.
func (b *Box[M]) Shift(lane Lane, pool *Pool[M]) (msg M, ok bool) {
	var t Batch[M]
	switch {
	case lane == Normal && b.inline == 0 && b.normal.head == nil,
		lane != Normal && (b.more == nil || b.more.lanes[lane].head == nil):
		return msg, false
	}
	b.detach(&t, lane, 1)
	oldest := &t.Next(pool)[0]
	msg = *oldest
	var none M
	*oldest = none // the chunk is used again
	t.Spent()
	b.Return(&t, pool)
	b.Done(lane, 1)
	return msg, true
}

// Drain empties the box, calling f with each waiting message, lane by lane in
// order. Size is 0 afterwards: what was taken is no longer counted.
func (b *Box[M]) Drain(pool *Pool[M], f func(Lane, M)) {
	for _, lane := range [...]Lane{Control, High, Normal, Bulk} {
		for {
			msg, ok := b.Shift(lane, pool)
			if !ok {
				break
			}
			f(lane, msg)
		}
	}
	*b = Box[M]{}
}

// Empty reports whether no message waits.
func (b *Box[M]) Empty() bool {
	return b.inline == 0 && b.normal.head == nil && (b.more == nil || b.more.waiting == 0)
}
