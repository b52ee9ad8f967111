package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// TestTheProtocolFollowsItsScenarios scripts several nodes and one shard as
// text: the store is the document and the barriers, each node a machine whose
// next command is performed, lost, or left undone as the script says.
func TestTheProtocolFollowsItsScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			w.run(t, d, &out)
			return out.String()
		})
	})
}

// world is a shard's document and barriers, and the nodes that want it.
type world struct {
	doc      Document
	rev      uint64
	before   Document          // of the revision before, for a node that lags
	barriers []journal.Barrier // sequence = 10 x (index + 1)
	nodes    map[string]*actor
}

// actor is a node and the command that its machine waits for.
type actor struct {
	m    machine
	next command
}

func newWorld() *world { return &world{nodes: map[string]*actor{}} }

func (w *world) run(t *testing.T, d *datadriven.TestData, out *strings.Builder) {
	var name string
	if len(d.CmdArgs) > 0 {
		name = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "claim": // claim NODE [incarnation=N]: start, and stop at the first command
		incarnation := uint64(1)
		if d.HasArg("incarnation") {
			d.ScanArgs(t, "incarnation", &incarnation)
		}
		a := &actor{m: machine{node: name, incarnation: incarnation}}
		w.nodes[name] = a
		a.take(out, name, a.m.step(event{kind: start}))
	case "step": // step NODE [n=N]: perform its next commands
		n := 1
		if d.HasArg("n") {
			d.ScanArgs(t, "n", &n)
		}
		for range n {
			w.perform(out, name, true, true)
		}
	case "finish": // finish NODE: perform until it is done or stopped
		for a := w.nodes[name]; a.next.kind != done && a.next.kind != stop; {
			w.perform(out, name, true, true)
		}
	case "lose-answer": // performed, but the answer is lost
		w.perform(out, name, true, false)
	case "lose-request": // not performed, and no answer
		w.perform(out, name, false, false)
	case "stale": // stale NODE [n=N]: a read is answered by a leader that was cut off
		n := 1
		if d.HasArg("n") {
			d.ScanArgs(t, "n", &n)
		}
		for range n {
			a := w.nodes[name]
			a.take(out, name, a.m.step(w.lagging(a.next)))
		}
	case "refence", "activate", "fenced":
		kind := map[string]eventKind{"refence": refence, "activate": activate, "fenced": fenced}[d.Cmd]
		a := w.nodes[name]
		a.take(out, name, a.m.step(event{kind: kind}))
	case "offer": // offer NODE to=NODE upto=SEQUENCE
		var to string
		var upTo uint64
		d.ScanArgs(t, "to", &to)
		d.ScanArgs(t, "upto", &upTo)
		a := w.nodes[name]
		a.take(out, name, a.m.step(event{kind: offer, doc: Document{Owner: to, Barrier: upTo}}))
	case "cut": // its conversation is cut short; the next one goes on with it
		a := w.nodes[name]
		fmt.Fprintf(out, "%s: midway %v\n", name, a.m.midway())
		if a.m.midway() {
			a.take(out, name, a.m.step(event{kind: unknown}))
		}
	case "forget-document": // an operator's mistake
		w.doc, w.rev = Document{}, 0
	case "store":
		fmt.Fprintf(out, "document: epoch %d %s %s barrier %d rev %d\n", w.doc.Epoch, w.doc.Owner, w.doc.State, w.doc.Barrier, w.rev)
		for i, b := range w.barriers {
			fmt.Fprintf(out, "%d: incarnation %d epoch %d %s previous %d\n", seqOf(i), b.Incarnation, b.Epoch, b.Owner, b.Previous)
		}
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
}

func seqOf(i int) uint64 { return uint64(i+1) * 10 }

func (w *world) perform(out *strings.Builder, name string, request, answer bool) {
	a := w.nodes[name]
	e := event{kind: unknown}
	if request {
		e = w.apply(a.next)
	}
	if !answer {
		fmt.Fprintf(out, "%s: no answer\n", name)
		e = event{kind: unknown}
	}
	a.take(out, name, a.m.step(e))
}

// apply is the store: what JetStream does with the command.
func (w *world) apply(c command) event {
	last := uint64(len(w.barriers)) * 10
	switch c.kind {
	case readDocument:
		return event{kind: document, doc: w.doc, rev: w.rev}
	case writeDocument:
		if c.rev != w.rev {
			return event{kind: conflict}
		}
		w.before, w.doc = w.doc, c.doc
		w.rev++
		return event{kind: written, rev: w.rev}
	case readBarrier:
		if last == 0 {
			return event{kind: noBarrier}
		}
		return event{kind: barrierRead, barrier: w.barriers[len(w.barriers)-1], seq: last}
	case publishBarrier:
		if c.previous != last {
			return event{kind: fenced}
		}
		w.barriers = append(w.barriers, c.barrier)
		return event{kind: stored, seq: last + 10}
	}
	panic(fmt.Sprintf("nothing to perform: %v", c.kind))
}

// lagging answers a read from before the last write.
func (w *world) lagging(c command) event {
	switch n := len(w.barriers); {
	case c.kind == readDocument:
		return event{kind: document, doc: w.before, rev: w.rev - 1}
	case n == 1:
		return event{kind: noBarrier}
	default:
		return event{kind: barrierRead, barrier: w.barriers[n-2], seq: seqOf(n - 2)}
	}
}

func (a *actor) take(out *strings.Builder, name string, c command) {
	a.next = c
	fmt.Fprintf(out, "%s: ", name)
	if c.again {
		fmt.Fprint(out, "pause, ")
	}
	switch c.kind {
	case done:
		fmt.Fprintf(out, "done, %v, epoch %d, token %d\n", a.m.phase, a.m.doc.Epoch, a.m.token)
	case stop:
		fmt.Fprintf(out, "stop: %v\n", c.err)
	case readDocument:
		fmt.Fprintln(out, "read the document")
	case writeDocument:
		to := ""
		if c.doc.Owner != a.m.node {
			to = " to " + c.doc.Owner
		}
		fmt.Fprintf(out, "write epoch %d %s%s barrier %d at revision %d\n", c.doc.Epoch, c.doc.State, to, c.doc.Barrier, c.rev)
	case readBarrier:
		fmt.Fprintln(out, "read the last barrier")
	case publishBarrier:
		fmt.Fprintf(out, "publish barrier epoch %d behind %d\n", c.barrier.Epoch, c.previous)
	}
}
