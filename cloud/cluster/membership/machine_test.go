package membership

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestLifeFollowsItsScenarios scripts a cluster as text, as the node "me" sees
// it: others start, fall silent, come back and leave, and what changes is shown.
func TestLifeFollowsItsScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.out.Reset()
			w.run(t, d)
			return w.out.String()
		})
	})
}

// speaker is another node as it is, whatever me thinks of it.
type speaker struct {
	doc        document
	bus, store bool // which of its words arrive
	left       bool
}

// world is the time, the other nodes, and the machine of me.
type world struct {
	now   time.Time
	ticks int
	m     *machine
	nodes map[string]*speaker
	boots uint64
	rev   uint64
	store map[string]document
	wrote time.Time // me's last committed write
	mute  bool      // no majority takes me's word
	out   strings.Builder
}

func newWorld() *world {
	return &world{now: noon, wrote: noon, m: newMachine("me", 1, noon), nodes: map[string]*speaker{}, boots: 1, store: map[string]document{}}
}

// step gives the machine an event and shows what it changes.
func (w *world) step(e event) {
	for _, o := range w.m.step(w.now, e) {
		if o.missed > 0 {
			fmt.Fprintf(&w.out, "%v %s: %v, %d beats missed\n", w.now.Sub(noon), o.name, o.change, o.missed)
		} else {
			fmt.Fprintf(&w.out, "%v %s: %v\n", w.now.Sub(noon), o.name, o.change)
		}
	}
}

// pass lets time go by, a beat of each node at a time.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(beatEvery)
		w.ticks++
		w.speak(w.ticks%beatsPerWrite == 0)
		if w.ticks%beatsPerWrite == 0 && !w.mute {
			w.wrote = w.now
		}
		w.tick()
	}
}

func (w *world) tick() { w.step(event{kind: tick, own: w.now.Sub(w.wrote)}) }

// speak is one beat of every node that lives, which it may also write.
func (w *world) speak(write bool) {
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		s := w.nodes[name]
		if s.left {
			continue
		}
		s.doc.Seq++
		if s.bus {
			w.step(event{kind: beat, doc: s.doc})
		}
		if s.store && write {
			w.write(s.doc)
		}
	}
}

func (w *world) write(d document) {
	w.rev++
	w.store[d.Name] = d
	w.step(event{kind: written, doc: d, revision: w.rev})
}

func (w *world) run(t *testing.T, d *datadriven.TestData) {
	var names []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			names = append(names, a.Key)
		}
	}
	with := func(key string) (v string) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &v)
		}
		return v
	}
	span := func() time.Duration {
		v, err := time.ParseDuration(names[0])
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return v
	}
	switch d.Cmd {
	case "start": // start NODE...: each begins a life
		for _, name := range names {
			w.boots++
			w.nodes[name] = &speaker{doc: document{Name: name, Boot: w.boots}, bus: true, store: true}
		}
	case "words": // words NODE... bus=no store=no: which of its words arrive from now on
		for _, name := range names {
			if name == "me" {
				w.mute = with("store") == "no"
				continue
			}
			w.nodes[name].bus, w.nodes[name].store = with("bus") != "no", with("store") != "no"
		}
	case "leave": // leave NODE: it says so on the bus, unless word=lost, and its document goes
		s := w.nodes[names[0]]
		s.left = true
		s.doc.Seq++
		if with("word") != "lost" {
			leaving := s.doc
			leaving.Leaving = true
			w.step(event{kind: beat, doc: leaving})
		}
		w.erase(names[0])
	case "wait": // wait TIME
		w.pass(span())
	case "freeze": // freeze TIME: me stands still; what was said waits, or is heard=no
		for end := w.now.Add(span()); w.now.Before(end); w.now = w.now.Add(beatEvery) {
			for _, s := range w.nodes {
				s.doc.Seq++
			}
		}
		w.tick() // before the beats are read
		if with("heard") != "no" {
			w.speak(false)
		}
	case "clock": // clock TIME: no event, the clock jumps
		w.now = w.now.Add(span())
	case "old": // old NODE seq=N boot=N by=beat|written: words from before come late
		doc := w.nodes[names[0]].doc
		d.ScanArgs(t, "seq", &doc.Seq)
		if d.HasArg("boot") {
			d.ScanArgs(t, "boot", &doc.Boot)
		}
		kind := beat
		if with("by") == "written" {
			kind = written
			w.rev++
		}
		w.step(event{kind: kind, doc: doc, revision: w.rev})
	case "say": // say NODE shards=N: it has other shards
		s := w.nodes[names[0]]
		var n int
		d.ScanArgs(t, "shards", &n)
		s.doc.Shards = make([]int, n)
	case "impostor": // another node has me's name
		w.step(event{kind: beat, doc: document{Name: "me", Boot: 99, Seq: 1}})
	case "read": // read NODE...: the store shows these documents, again or for the first time
		for _, name := range names {
			w.rev++
			w.step(event{kind: written, doc: w.store[name], revision: w.rev})
		}
	case "shown": // shown NODE... drains=(NODE...): the store has these keys and no others
		k := keys{nodes: map[string]bool{}, drains: map[string]bool{}}
		for _, name := range names {
			k.nodes[name] = true
		}
		for _, name := range strings.Fields(with("drains")) {
			k.drains[name] = true
		}
		w.step(event{kind: shown, keys: k})
	case "drain", "undrain":
		w.step(event{kind: drain, name: names[0], on: d.Cmd == "drain"})
	case "forget": // who is to be removed from the store is
		if name, _, ok := w.m.forgettable(w.now); ok {
			fmt.Fprintf(&w.out, "%s is forgotten\n", name)
			w.erase(name)
		}
	case "members":
		w.show()
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
}

func (w *world) erase(name string) {
	delete(w.store, name)
	w.step(event{kind: erased, name: name})
}

func (w *world) show() {
	for _, m := range w.m.members(Member{Name: "me"}, w.now) {
		fmt.Fprintf(&w.out, "%s", m.Name)
		if m.Dead {
			fmt.Fprintf(&w.out, " dead")
		}
		if m.Draining {
			fmt.Fprintf(&w.out, " draining")
		}
		fmt.Fprintf(&w.out, " seen %v ago\n", w.now.Sub(m.SeenAt))
	}
	fmt.Fprintf(&w.out, "stable for %v\n", w.now.Sub(w.m.stable))
}
