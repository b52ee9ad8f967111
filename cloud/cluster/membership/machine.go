package membership

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

const (
	// beatEvery is the pause between two beats: at MaxMembers, 4,096 small
	// messages a second for each node.
	beatEvery = 250 * time.Millisecond
	// freshFor is the silence that two beats explain: one that was lost, one on
	// its way.
	freshFor = 2*beatEvery + beatEvery/2
	// aloneAfter is the silence after which a node is dead whose neighbours are
	// all heard: six beats in a row are lost of nobody but a dead or cut off one.
	aloneAfter = 6 * beatEvery
	// anyAfter is the silence after which any node is dead. Who misses several
	// others at once, or hears no one, is more likely cut off itself: it waits
	// twice as long, in which the network may have settled. It is also three
	// writes of a node whose beats do not arrive.
	anyAfter = 2 * aloneAfter
	// cutOffAfter is the age of a node's last committed write from which others
	// may have taken over what it holds: three writes.
	cutOffAfter = anyAfter
	// doubtAfter is the age from which it judges nobody: two writes, so that of a
	// node that lost its majority no neighbour dies first. Who is cut off would
	// take the whole cluster for dead, and act upon it when it is back.
	doubtAfter = cutOffAfter - beatsPerWrite*beatEvery
	// lingers is how long a dead node without a document is remembered, so that
	// its last words, which come late, are not taken for a new one.
	lingers = time.Minute
	// forgetAfter is how long the document of a dead node is kept: an operator
	// who looks the next day still sees what is missing.
	forgetAfter = 24 * time.Hour
	// MaxMembers bounds the nodes that are known, dead ones included: as many as
	// placement takes.
	MaxMembers = placement.MaxNodes
)

// event is what happened outside.
type event struct {
	kind     eventKind
	own      time.Duration // tick: the age of this node's last committed write
	doc      document      // beat, written
	name     string        // erased, drain
	revision uint64        // written
	on       bool          // drain
	keys     keys          // shown
}

type eventKind uint8

const (
	tick    eventKind = iota // time has passed
	beat                     // heard on the bus
	written                  // seen in the store
	erased                   // its document was removed
	drain                    // somebody wants it empty, or no longer
	shown                    // the store has shown all its keys
)

// keys are the names that a store has under node. and drain.
type keys struct{ nodes, drains map[string]bool }

// change is what became of a node, or of a message from it.
type change uint8

const (
	none     change = iota
	came            // it was not known, or begins a new life
	returned        // it was taken for dead
	died            // it fell silent
	left            // it said so
	said            // it says something else of itself, or is to drain, or no longer
	gone            // it is not remembered any more
	late            // old words, from another life or overtaken: nothing changed
	refused         // a node too many
	twice           // another node has this one's name
	changes         // how many there are
)

func (c change) String() string {
	return [changes]string{"none", "came", "returned", "died", "left", "said", "gone", "late", "refused", "twice"}[c]
}

// moves reports whether a node came or went.
func (c change) moves() bool { return c == came || c == returned || c == died || c == left }

// outcome is a change, and whose.
type outcome struct {
	change
	name   string
	missed uint64 // beats that did not come, between the last that did and this one
}

// machine is who lives, as one node sees it: no goroutine, clock or I/O. Its
// times are monotonic. It measures silence while a majority takes its own node's
// word: one that was cut off, stood still or was suspended begins anew.
type machine struct {
	self   string
	boot   uint64
	stable time.Time // when a node last came or went, or this one was last cut off
	nodes  map[string]*node
	drains map[string]bool
}

// node is another member.
type node struct {
	doc      document
	seenAt   time.Time // when there was last news of it
	heard    time.Time // since when it is silent: then, or when this node was last cut off
	wrote    bool      // the last news came by the store
	key      bool      // it has a document in the store
	revision uint64    // of the last that was seen
	dead     bool
	left     bool
	deadAt   time.Time
}

func newMachine(self string, boot uint64, now time.Time) *machine {
	return &machine{
		self: self, boot: boot, stable: now,
		nodes: make(map[string]*node), drains: make(map[string]bool),
	}
}

// step takes one event at a time and returns what changed.
func (m *machine) step(now time.Time, e event) []outcome {
	var out []outcome
	switch e.kind {
	case tick:
		out = m.judge(now, e.own)
	case beat, written:
		out = m.hear(now, e)
	case erased:
		m.erase(e.name)
	case drain:
		out = m.drain(e.name, e.on)
	case shown:
		out = m.compare(e.keys)
	}
	for _, o := range out {
		if o.moves() {
			m.stable = now
		}
	}
	return out
}

// hear takes a document that came on the bus or was seen in the store.
func (m *machine) hear(now time.Time, e event) []outcome {
	d, wrote := e.doc, e.kind == written
	if d.Name == m.self {
		if d.Boot != m.boot && !wrote { // the store may hold this node's life before
			return []outcome{{change: twice, name: d.Name}}
		}
		return nil
	}
	n := m.nodes[d.Name]
	switch {
	case n == nil && d.Leaving:
		return nil // it came and went unheard
	case n == nil && len(m.nodes) >= MaxMembers-1:
		return []outcome{{change: refused, name: d.Name}}
	case n == nil:
		n = &node{}
		m.nodes[d.Name] = n
	}
	if wrote {
		if e.revision <= n.revision {
			return nil // the store shows it again
		}
		n.key, n.revision = true, e.revision
	}
	o := outcome{name: d.Name}
	var news bool
	if o.change, news = n.learn(now, d, wrote); !news {
		return some(o)
	}
	if d.Boot == n.doc.Boot {
		o.missed = d.Seq - n.doc.Seq
		if !wrote {
			o.missed--
		}
	}
	n.doc, n.seenAt, n.heard, n.wrote = d, now, now, wrote
	n.dead, n.left, n.deadAt = d.Leaving, d.Leaving, now
	return some(o)
}

// learn says what a document tells beside what is known of its node, and
// whether it is news that the node lives, or leaves. Of two lives the one that
// beats now is the later one, whatever the store still shows: it does not stop,
// so that a mistake would be put right by its next beat.
func (n *node) learn(now time.Time, d document, wrote bool) (what change, news bool) {
	beats := !n.dead && !n.wrote && now.Sub(n.seenAt) <= freshFor
	switch {
	case d.Boot != n.doc.Boot && (d.Leaving || wrote && beats):
		return late, false
	case d.Boot != n.doc.Boot:
		return came, true
	case d.Seq <= n.doc.Seq:
		return none, false // the store repeats what the bus said
	case n.left:
		return late, false
	case d.Leaving:
		return left, true
	case n.dead:
		return returned, true
	case !d.sameBut(n.doc):
		return said, true
	}
	return none, true
}

// judge finds who is silent for too long, and who need not be remembered.
func (m *machine) judge(now time.Time, own time.Duration) (out []outcome) {
	if own >= cutOffAfter {
		m.stable = now
	}
	alone := m.oneIsSilent(now)
	for _, name := range slices.Sorted(maps.Keys(m.nodes)) {
		n := m.nodes[name]
		patience := anyAfter
		if alone && !n.wrote {
			patience = aloneAfter
		}
		switch {
		case n.dead && !n.key && now.Sub(n.deadAt) >= lingers:
			delete(m.nodes, name)
			out = append(out, outcome{change: gone, name: name})
		case n.dead:
		case own >= cutOffAfter:
			n.heard = now
		case own < doubtAfter && now.Sub(n.heard) >= patience:
			n.dead, n.deadAt = true, now
			out = append(out, outcome{change: died, name: name})
		}
	}
	return out
}

// oneIsSilent reports whether all nodes but one are heard, and there are such.
// Those that are heard by their writes do not count: the pace of these says
// little of the bus.
func (m *machine) oneIsSilent(now time.Time) bool {
	heard, silent := 0, 0
	for _, n := range m.nodes {
		switch {
		case n.dead || n.wrote:
		case now.Sub(n.heard) <= freshFor:
			heard++
		default:
			silent++
		}
	}
	return silent == 1 && heard > 0
}

// erase takes it that a node has no document in the store any more. That says
// nothing about its life: who leaves says so on the bus, or falls silent.
func (m *machine) erase(name string) {
	if n := m.nodes[name]; n != nil {
		n.key = false
	}
}

func (m *machine) drain(name string, on bool) []outcome {
	if m.drains[name] == on {
		return nil
	}
	if on {
		m.drains[name] = true
	} else {
		delete(m.drains, name)
	}
	return []outcome{{change: said, name: name}}
}

// compare finds what was removed while nobody watched the store.
func (m *machine) compare(k keys) (out []outcome) {
	for name, n := range m.nodes {
		if n.key && !k.nodes[name] {
			m.erase(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.drains)) {
		if !k.drains[name] {
			out = append(out, m.drain(name, false)...)
		}
	}
	return out
}

// forgettable returns a node whose document is to be removed.
func (m *machine) forgettable(now time.Time) (name string, revision uint64, ok bool) {
	for name, n := range m.nodes {
		if n.dead && n.key && now.Sub(n.deadAt) >= forgetAfter {
			return name, n.revision, true
		}
	}
	return "", 0, false
}

// members returns all that are known, by name, with this node as it says of
// itself.
func (m *machine) members(self Member, now time.Time) []Member {
	self.Dead, self.SeenAt = false, now
	all := []Member{self}
	for _, n := range m.nodes {
		o := n.doc.member()
		o.Dead, o.SeenAt = n.dead, n.seenAt
		all = append(all, o)
	}
	for i := range all {
		all[i].Draining = all[i].Draining || m.drains[all[i].Name]
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// some is a list of what is worth one.
func some(o outcome) []outcome {
	if o.change == none && o.missed == 0 {
		return nil
	}
	return []outcome{o}
}
