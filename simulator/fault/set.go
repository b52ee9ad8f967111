package fault

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/simulator/chip"
)

// maxFaults bounds the faults of a board that are not over: each transaction
// looks at those of its chip.
const maxFaults = 256

// errFull says that there are maxFaults.
var errFull = fmt.Errorf("a board has at most %d faults that are not over", maxFaults)

// Set is the faults of one board. Its methods are safe for concurrent use.
type Set struct {
	start   time.Time
	targets map[Place]*target

	mu   sync.Mutex // held to add faults
	last uint64     // id of the newest
}

// New returns the set of a board of these chips, without a fault. Its time
// begins now. Sets of one seed hit the same transactions. reg may be nil.
func New(targets []Target, seed uint64, reg prometheus.Registerer) *Set {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	injections := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_fault_injections_total", Help: "Transactions with a chip that a fault changed.",
	}, []string{"bus", "address", "kind"})
	reg.MustRegister(injections)
	s := &Set{start: time.Now(), targets: make(map[Place]*target, len(targets))}
	for _, one := range targets {
		t := &target{Target: one, start: s.start, random: rand.New(rand.NewPCG(seed, one.hash()))}
		for k := range kinds {
			t.injected[k] = injections.WithLabelValues(one.Bus, fmt.Sprintf("%#x", one.Address), k.String())
		}
		s.targets[one.Place] = t
	}
	return s
}

// hash tells the chips of one seed apart.
func (p Place) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", p.Bus, p.Address)
	return h.Sum64()
}

// Wrap powers on the chip at a place, which must be a target of the set, and
// returns it in its faults. powerOn is called again each time that the chip is
// plugged in.
func (s *Set) Wrap(at Place, powerOn func() chip.Chip) chip.Chip {
	t, ok := s.targets[at]
	if !ok {
		panic(fmt.Sprintf("BUG: fault: %+v is no target", at))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.powerOn, t.chip = powerOn, powerOn()
	return t
}

// order is a fault that is to be: Begin and End count from the moment when it
// is accepted.
type order struct {
	Fault
	target *target
}

// add accepts orders that find has passed, all of them or none.
func (s *Set) add(orders ...order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list())+len(orders) > maxFaults {
		return errFull
	}
	at := time.Since(s.start)
	for _, o := range orders {
		s.last++
		o.Begin += at
		if o.End != 0 {
			o.End += at
		}
		o.target.insert(&active{Fault: o.Fault, id: s.last}, at)
	}
	return nil
}

// find makes an order of a fault that its chip may have.
func (s *Set) find(f Fault) (order, *refusal) {
	if t, ok := s.targets[f.Place]; ok {
		return order{f, t}, f.check(t.Target)
	}
	var on []string
	for p := range s.targets {
		if p.Bus == f.Bus {
			on = append(on, fmt.Sprintf("%#x", p.Address))
		}
	}
	if len(on) == 0 {
		return order{}, &refusal{key: "bus", text: fmt.Sprintf("no chip is on a bus %q", f.Bus), absent: true}
	}
	slices.Sort(on)
	return order{}, &refusal{key: "address", text: fmt.Sprintf("want one of %v on bus %q, got %#x", on, f.Bus, f.Address), absent: true}
}

// remove ends the faults that match and returns how many there were.
func (s *Set) remove(match func(*active) bool) int {
	n := 0
	for _, t := range s.targets {
		n += t.remove(match)
	}
	return n
}

// list returns copies of the faults that are not over, the oldest first.
func (s *Set) list() []active {
	var all []active
	for _, t := range s.targets {
		t.mu.Lock()
		t.settle(time.Since(s.start))
		for _, a := range t.active {
			all = append(all, *a)
		}
		t.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b active) int { return cmp.Compare(a.id, b.id) })
	return all
}
