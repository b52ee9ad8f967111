// Package lru knows which of many things was not used for longest: exactly, and
// without a lock for those that use them.
//
// Each thing has an Entry. Whoever uses the thing calls Touch, which writes one
// word. The Queue is a heap by the time that it has noted for each entry, which
// may be older than the entry's last use and is never younger. Oldest looks at
// the first one, notes its last use where that is younger, and goes on until
// what it noted is true: that entry is the least recently used of all.
//
// The package is pure: it reads no clock and drops nothing. The calls of a
// Queue are serialised by its owner; Touch and Used may come at any time.
package lru

import "sync/atomic"

// Entry is the place of one thing in a Queue. The zero Entry is in none.
type Entry[T any] struct {
	Owner T

	used  atomic.Int64
	noted int64
	at    int // 1 is the first of the heap; 0: in no queue
}

// Touch notes a use of the thing. Times do not go back.
func (e *Entry[T]) Touch(now int64) { e.used.Store(now) }

// Used is when the thing was last used.
func (e *Entry[T]) Used() int64 { return e.used.Load() }

// Queue is a set of entries. The zero Queue is empty.
type Queue[T any] struct{ heap []*Entry[T] }

// Len is the number of entries.
func (q *Queue[T]) Len() int { return len(q.heap) }

// Add puts an entry in, used now. It must not be in a queue.
func (q *Queue[T]) Add(e *Entry[T], now int64) {
	e.used.Store(now)
	e.noted = now
	q.heap = append(q.heap, e)
	e.at = len(q.heap)
	q.up(e)
}

// Remove takes an entry out; it does nothing when it is not in.
func (q *Queue[T]) Remove(e *Entry[T]) {
	if e.at == 0 {
		return
	}
	last := q.heap[len(q.heap)-1]
	q.heap[len(q.heap)-1] = nil
	q.heap = q.heap[:len(q.heap)-1]
	if last != e {
		q.put(last, e.at)
		q.up(last)
		q.down(last)
	}
	e.at = 0
	q.shrink()
}

// spare is how many entries a Queue has room for without giving any back.
const spare = 64

// shrink gives back half of the room when three quarters of it are free, so
// that what came and went leaves nothing behind.
func (q *Queue[T]) shrink() {
	if room := cap(q.heap); room > spare && len(q.heap) <= room/4 {
		q.heap = append(make([]*Entry[T], 0, room/2), q.heap...)
	}
}

// Oldest returns the entry that was not used for longest, and nil when there is
// none.
func (q *Queue[T]) Oldest() *Entry[T] {
	for len(q.heap) > 0 {
		e := q.heap[0]
		used := e.used.Load()
		if used <= e.noted {
			return e
		}
		e.noted = used
		q.down(e)
	}
	return nil
}

// Next is a time before which no entry was last used: a lower bound of what
// Oldest would find, for whoever sets an alarm. It is 0 when there is none.
func (q *Queue[T]) Next() int64 {
	if len(q.heap) == 0 {
		return 0
	}
	return q.heap[0].noted
}

func (q *Queue[T]) put(e *Entry[T], at int) {
	q.heap[at-1] = e
	e.at = at
}

func (q *Queue[T]) up(e *Entry[T]) {
	for e.at > 1 {
		parent := q.heap[e.at/2-1]
		if parent.noted <= e.noted {
			return
		}
		at := e.at
		q.put(e, at/2)
		q.put(parent, at)
	}
}

func (q *Queue[T]) down(e *Entry[T]) {
	for {
		child := 2 * e.at
		if child > len(q.heap) {
			return
		}
		if child < len(q.heap) && q.heap[child].noted < q.heap[child-1].noted {
			child++
		}
		small := q.heap[child-1]
		if e.noted <= small.noted {
			return
		}
		at := e.at
		q.put(e, child)
		q.put(small, at)
	}
}
