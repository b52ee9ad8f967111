package site

import (
	"fmt"
	"math"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// verdict is what a run's sequences say about a frame or gap.
type verdict uint8

const (
	fresh     verdict = iota // apply it
	duplicate                // all of it was applied before
	late                     // its run is retired
	stranger                 // its run is unknown
)

// judge places the sequences a..b in their run: it counts duplicates and late
// ones, and enters what nobody will apply. A fresh one is the caller's to apply.
func (g *gateway) judge(run id.Run, a, b uint64, out *gatewayOutput) (*runState, verdict) {
	s := g.state
	if r, ok := s.Runs[run]; ok {
		if b < r.Next {
			s.Count.Duplicates++
			out.duplicates++
			return r, duplicate
		}
		return r, fresh
	}
	t := g.tomb(run)
	switch {
	case t == nil:
		g.enter(out, history.Entry{Run: run, A: a, B: b, Reason: history.UnknownRun})
		return nil, stranger
	case b < t.Next:
		s.Count.Duplicates++
		out.duplicates++
		return nil, duplicate
	}
	// Committed readings that nobody will apply: the ledger must say so (I1).
	s.Count.Late++
	out.late++
	if a > t.Next {
		s.Count.Missing += a - t.Next
		g.enter(out, history.Entry{Run: run, Class: t.Class, Boot: t.Boot, A: t.Next, B: a - 1, Reason: history.Missing})
	}
	g.enter(out, history.Entry{Run: run, Class: t.Class, Boot: t.Boot, A: max(a, t.Next), B: b, Reason: history.Late})
	t.Next = b + 1
	return nil, late
}

// missing enters next..before-1, which the gateway skipped without a gap.
func (g *gateway) missing(run id.Run, r *runState, before uint64, out *gatewayOutput) {
	g.state.Count.Missing += before - r.Next
	g.enter(out, history.Entry{Run: run, Class: r.Class, Boot: r.Boot, A: r.Next, B: before - 1, Reason: history.Missing})
}

// advance moves a run beyond b; what lies between is missing.
func (g *gateway) advance(run id.Run, r *runState, a, b uint64, out *gatewayOutput) {
	if a > r.Next {
		g.missing(run, r, a, out)
	}
	r.Next = b + 1
}

func (g *gateway) takeGap(in gatewayInput, out *gatewayOutput) error {
	m, err := wire.ParseGap(in.body)
	if err != nil {
		return err
	}
	if m.B == math.MaxUint64 {
		return fmt.Errorf("gap: run %s ends at the last sequence there is", m.Run)
	}
	r, v := g.judge(m.Run, m.A, m.B, out)
	switch v {
	case fresh:
	case stranger:
		return fmt.Errorf("gap: unknown run %s", m.Run)
	default:
		return nil
	}
	from := max(m.A, r.Next)
	g.advance(m.Run, r, m.A, m.B, out)
	g.state.Count.Gaps += m.B - from + 1
	g.enter(out, history.Entry{
		Run: m.Run, Class: r.Class, Boot: r.Boot, A: from, B: m.B, Reason: history.Reason(m.Reason),
		Readings: m.Readings, TFirst: m.TFirst, TLast: m.TLast,
	})
	g.retireIfDone(m.Run, out)
	return nil
}

// skip accounts for a record that made the site fail, without looking into
// more of it than its sequences.
func (g *gateway) skip(in gatewayInput, out *gatewayOutput) {
	g.bury(in, out, "skipped: the site failed on this record")
	run, a, b, err := wire.PeekSeq(in.body)
	if err != nil || b == math.MaxUint64 {
		return
	}
	g.lose(run, a, b, history.Skipped, out)
}

// lose enters a..b as never to be applied, and moves its run on.
func (g *gateway) lose(run id.Run, a, b uint64, why history.Reason, out *gatewayOutput) {
	r, v := g.judge(run, a, b, out)
	if v != fresh {
		return
	}
	from := max(a, r.Next)
	g.advance(run, r, a, b, out)
	g.enter(out, history.Entry{Run: run, Class: r.Class, Boot: r.Boot, A: from, B: b, Reason: why})
	g.retireIfDone(run, out)
}
