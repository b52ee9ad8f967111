package sim

import (
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/atrium-iot/atrium/cloud/cluster"
)

// protocolStep is a durable step of the ownership's protocol, from the claim to
// the hand-over.
type protocolStep int

// The steps, in the order in which an owner comes to them.
const (
	noStep    protocolStep = iota
	claims                 // the document says who recovers the shard
	fences                 // a barrier of a new epoch; after it the state is recovered
	activates              // the document says that it is served
	keeps                  // a site's snapshot
	lists                  // the manifest that names it
	refences               // the barrier once more
	purges                 // the log before it
	offers                 // the document says who is to have the shard next
	protocolSteps
)

func (s protocolStep) String() string {
	return [protocolSteps]string{"none", "claim", "barrier", "activate", "snapshot", "manifest", "barrier again", "purge", "offer"}[s]
}

// stepOfDocument is the step that writes a document of a shard.
func stepOfDocument(key string, value []byte) protocolStep {
	if !strings.HasPrefix(key, "shard.") {
		return noStep
	}
	d, err := cluster.ParseDocument(value)
	if err != nil {
		return noStep
	}
	return map[cluster.State]protocolStep{cluster.Recovering: claims, cluster.Active: activates, cluster.Offered: offers}[d.State]
}

// stepOfObject is the step that writes an object.
func stepOfObject(name string) protocolStep {
	switch {
	case strings.HasPrefix(name, "site."):
		return keeps
	case strings.HasPrefix(name, "manifest."):
		return lists
	}
	return noStep
}

// Moment is a place between two steps of the protocol: right before a step, or
// when it is durable and nobody has been told.
type Moment struct {
	step  protocolStep
	after bool
}

func (m Moment) String() string {
	if m.after {
		return fmt.Sprintf("after %q", m.step)
	}
	return fmt.Sprintf("before %q", m.step)
}

// Moments are all of them, in the order of the protocol.
func Moments() (all []Moment) {
	for s := claims; s < protocolSteps; s++ {
		all = append(all, Moment{s, false}, Moment{s, true})
	}
	return all
}

// deaths has nodes die between the steps of the protocol.
type deaths struct {
	mu    sync.Mutex
	armed bool
	next  Moment
	died  map[Moment]int // how many nodes did
}

func newDeaths() *deaths { return &deaths{died: map[Moment]int{}} }

// arm kills the node that next comes to a moment.
func (d *deaths) arm(at Moment) { d.mu.Lock(); d.next, d.armed = at, true; d.mu.Unlock() }

func (d *deaths) disarm() { d.mu.Lock(); d.armed = false; d.mu.Unlock() }

// strikes says whether the node that is at a moment is to die of it.
func (d *deaths) strikes(step protocolStep, after bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := Moment{step, after}
	if step == noStep || !d.armed || d.next != at {
		return false
	}
	d.armed = false
	d.died[at]++
	return true
}

// count returns how many nodes died at each moment.
func (d *deaths) count() map[Moment]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.died)
}
