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

// New returns the set of a board of these targets, without a fault. Its time
// begins now. Sets of one seed hit the same transactions. reg may be nil.
func New(targets []Target, seed uint64, reg prometheus.Registerer) *Set {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	injections := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_fault_injections_total", Help: "Transactions with a chip, and readings and switchings of a line, that a fault changed.",
	}, []string{"bus", "address", "kind"})
	reg.MustRegister(injections)
	s := &Set{start: time.Now(), targets: make(map[Place]*target, len(targets))}
	for _, one := range targets {
		t := &target{Target: one, start: s.start, settled: func(time.Duration) {}, random: rand.New(rand.NewPCG(seed, one.hash()))}
		for k := range kinds {
			if !one.Line || k.ofLine() {
				t.injected[k] = injections.WithLabelValues(one.Bus, one.Place.String(), k.String())
			}
		}
		s.targets[one.Place] = t
	}
	return s
}

// hash tells the targets of one seed apart.
func (p Place) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", p.Bus, p.Address)
	return h.Sum64()
}

// Wrap powers on the chip at a place, which must be a target of the set, and
// returns it in its faults. powerOn is called again each time that the chip is
// plugged in.
func (s *Set) Wrap(at Place, powerOn func() chip.Chip) chip.Chip {
	return newBrokenChip(s.target(at), powerOn)
}

// WrapPart is Wrap for the part at a line.
func (s *Set) WrapPart(at Place, powerOn func() chip.Part) chip.Part {
	return newBrokenPart(s.target(at), powerOn)
}

func (s *Set) target(at Place) *target {
	t, ok := s.targets[at]
	if !ok {
		panic(fmt.Sprintf("BUG: fault: %+v is no target", at))
	}
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
	return order{}, s.absent(f.Place)
}

// absent says why there is no target at a place.
func (s *Set) absent(at Place) *refusal {
	var near []Place // on the same bus
	for p := range s.targets {
		if p.Bus == at.Bus {
			near = append(near, p)
		}
	}
	slices.SortFunc(near, func(a, b Place) int { return cmp.Compare(a.Address, b.Address) })
	refuse := func(key, format string, args ...any) *refusal {
		return &refusal{key: key, text: fmt.Sprintf(format, args...), absent: true}
	}
	switch {
	case len(near) == 0:
		return refuse("bus", "no chip is on a bus %q", at.Bus)
	case at.Line && !near[0].Line:
		return refuse("line", "%q is an I2C bus, whose chips have an address", at.Bus)
	case !at.Line && near[0].Line:
		return refuse("address", "%q is a GPIO chip, whose parts have a line", at.Bus)
	case at.Line:
		return refuse("line", "want one of %v on GPIO chip %q, got %v", near, at.Bus, at)
	}
	return refuse("address", "want one of %v on bus %q, got %v", near, at.Bus, at)
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
