// Package fair decides which of several queues is served next, so that queues
// with work share the machine by weight, whatever each one's slices cost. The
// actor system has a queue for each dispatcher.
//
// It is start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queuing",
// SIGCOMM 1996), as the same authors applied it to processors (Goyal, Guo, Vin:
// "A Hierarchical CPU Scheduler for Multimedia Operating Systems", OSDI 1996).
// Each queue has a virtual time, what it has used divided by its weight. Pick
// answers the ready queue that is furthest behind; after the slice Charge moves
// it on by what the slice took. How long a slice will be need not be known
// before it has run.
//
// For two queues that stay ready over any window, what they use divided by their
// weights differs by at most one longest slice of each, divided by its weight
// (theorem 1 of the paper). With several workers more slices are in hand at
// once, and the difference grows by as many.
//
// A queue that had no work gets no credit for it: it goes on at the virtual
// clock, the time of the queue that was picked last. Nor is a queue in debt for
// what it used while nobody else wanted anything.
//
// The package holds no work, no clock and no lock: the caller knows what is
// ready, measures the slices and serialises the calls. Nothing allocates.
package fair

import (
	"fmt"
	"math/bits"
)

const (
	// Max is the number of queues: the ready ones are the bits of one word. A
	// process has a handful of dispatchers.
	Max = 64

	// MaxWeight bounds a weight. Beside it a queue of weight 1 has a thousandth
	// of the machine: who wants less for it should not run it.
	MaxWeight = 1000

	// maxSlice bounds what one slice is charged with, in ns, so that no virtual
	// time overflows. A slice of an hour is a handler that hangs.
	maxSlice = int64(3600e9)
)

// Queues is the virtual time of up to Max queues. The zero Queues has none.
type Queues struct {
	n      int
	clock  int64 // virtual time of the queue picked last; never goes back
	latest int64 // largest of time
	time   [Max]int64
	rest   [Max]int32 // ns used that make no whole ns of virtual time yet
	weight [Max]int32
}

// Add makes a queue and returns its index, from 0 in the order of the calls.
// Its share is its weight, 1 to MaxWeight, beside the sum of the weights of all
// that are ready.
func (q *Queues) Add(weight int) (i int, err error) {
	if weight < 1 || weight > MaxWeight {
		return 0, fmt.Errorf("fair: weight: want 1 to %d, got %d", MaxWeight, weight)
	}
	if q.n == Max {
		return 0, fmt.Errorf("fair: no more than %d queues", Max)
	}
	i = q.n
	q.n++
	q.weight[i] = int32(weight)
	return i, nil
}

// Pick returns the queue to serve next: of those whose bits are set in ready,
// the one with the smallest virtual time, and of equal ones the first. Bits of
// queues that do not exist are ignored. It returns -1 when none is ready; the
// caller should ask then too, since it is how Queues learns that nobody waited.
func (q *Queues) Pick(ready uint64) (i int) {
	ready &= 1<<q.n - 1
	if ready == 0 {
		q.clock = q.latest
		return -1
	}
	i = -1
	for set := ready; set != 0; set &= set - 1 {
		j := bits.TrailingZeros64(set)
		// Only a queue that was not ready can be behind the clock: of those
		// that were, the clock is the smallest.
		q.time[j] = max(q.time[j], q.clock)
		if i < 0 || q.time[j] < q.time[i] {
			i = j
		}
	}
	q.clock = q.time[i]
	return i
}

// Charge counts a slice of ns that queue i has used. A slice is never free: one
// that the caller's clock could not see costs 1 ns.
func (q *Queues) Charge(i int, ns int64) {
	used := min(max(ns, 1), maxSlice) + int64(q.rest[i])
	w := int64(q.weight[i])
	q.time[i] += used / w
	q.rest[i] = int32(used % w)
	q.latest = max(q.latest, q.time[i])
}
