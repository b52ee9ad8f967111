package router

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor"
)

// policy picks the routee that a message goes to, by its index. There is at
// least one. It is called from many goroutines at once and does not block.
type policy[M any] interface {
	pick(all []routee[M], msg M) int
}

// RoundRobin makes a router that sends to its routees in turn: n of them get
// the same number of messages, give or take one, as long as none is full.
func RoundRobin[M any](routees ...actor.Ref[M]) *Router[M] {
	return newRouter(&inTurn[M]{}, true, routees)
}

type inTurn[M any] struct{ turns atomic.Uint64 }

func (p *inTurn[M]) pick(all []routee[M], _ M) int {
	return int((p.turns.Add(1) - 1) % uint64(len(all)))
}

// exact is up to how many routees LeastLoaded looks at all of them. Looking at
// one takes its lock, some 15 ns: four cost what the message itself does.
const exact = 4

// LeastLoaded makes a router that sends to a routee with few messages waiting:
// up to 4 routees to the one with the fewest, beyond that to the better of two
// at random. Two choices already keep the longest of n queues within
// log(log(n))/log(2) of the average, up to a constant (Azar, Broder, Karlin,
// Upfal: Balanced Allocations, 1994; Mitzenmacher 2001), where one choice at
// random is off by the order of log(n)/log(log(n)).
func LeastLoaded[M any](routees ...actor.Ref[M]) *Router[M] {
	return newRouter(fewestWaiting[M]{}, true, routees)
}

type fewestWaiting[M any] struct{}

func (fewestWaiting[M]) pick(all []routee[M], _ M) int {
	n := len(all)
	if n <= exact {
		return fewest(all, rand.IntN(n), 1, n)
	}
	one := rand.IntN(n)
	return fewest(all, one, 1+rand.IntN(n-1), 2)
}

// fewest returns the routee with the fewest messages waiting among looks of
// them, from first on in steps around the ring. Of equal ones it is the first.
func fewest[M any](all []routee[M], first, step, looks int) int {
	best, waiting := first, all[first].ref.Waiting()
	for range looks - 1 {
		if waiting == 0 {
			break
		}
		first = (first + step) % len(all)
		if w := all[first].ref.Waiting(); w < waiting {
			best, waiting = first, w
		}
	}
	return best
}

// ConsistentHash makes a router that sends all messages of a key to the same
// routee: rendezvous hashing (Thaler and Ravishankar, 1998), where a key belongs
// to the routee whose name and the key together have the highest hash. When a
// routee leaves, its keys spread evenly over the others and no other key moves;
// when one comes, it takes its part of each. Of k keys each of n routees has
// k/n, with the deviation of a fair draw: below 5*sqrt(k/n) but for one case in
// a million.
//
// The choice depends on the PIDs that routees have when they are added, not on
// the process or the order of Add. Routers of several nodes agree where their
// Refs have the same PIDs: from RefAt with an address, not from a Type, whose
// Refs name their own node. It looks at every routee, about 2 ns each: for some
// hundred of them.
func ConsistentHash[M any](key func(M) string, routees ...actor.Ref[M]) *Router[M] {
	return newRouter(byKey[M]{key}, false, routees)
}

type byKey[M any] struct{ key func(M) string }

func (p byKey[M]) pick(all []routee[M], msg M) int {
	h := hash(p.key(msg))
	best, highest := 0, uint64(0)
	for i := range all {
		if score := mix(h ^ all[i].seed); score > highest {
			best, highest = i, score
		}
	}
	return best
}

// seedOf is the hash of a routee's name.
func seedOf(pid actor.PID) uint64 { return hash(pid.String()) }

// hash is FNV-1a (Fowler, Noll, Vo). Its high bits hardly depend on the last bytes;
// mix makes up for that.
func hash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// mix spreads every bit over all others: the finalizer of MurmurHash3 (Appleby).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Broadcast makes a router that sends each message to all its routees. The
// message is copied; what it points to belongs to all of them, so nobody may
// write to it. Tell goes on when a routee refuses and then returns
// *Undelivered.
func Broadcast[M any](routees ...actor.Ref[M]) *Router[M] {
	return newRouter[M](nil, false, routees)
}
