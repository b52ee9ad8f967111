package site

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// hello takes in what a gateway holds. It ranks boots, begins runs, learns
// how runs ended, and retires those that are done. It never resets a known
// run's next.
func (g *gateway) hello(in gatewayInput, out *gatewayOutput) error {
	m, err := wire.ParseHello(in.body)
	if err != nil {
		return err
	}
	for i := range m.Runs {
		if m.Runs[i].Last == math.MaxUint64 {
			return fmt.Errorf("hello: run %s is at the last sequence there is", m.Runs[i].Run)
		}
	}
	ranks := g.rankBoots(m.Boots)
	s := g.state
	boot := ranks[len(ranks)-1]
	// A connection that another one overtook can bring an older hello late. It
	// may add to what is known, but says nothing about what is gone.
	stale := m.Board == s.Board && (boot < s.HelloBoot || boot == s.HelloBoot && m.Now < s.HelloNow)
	if !stale {
		g.returned(&m, s.Board, out)
		s.Board, s.Agent, s.Interval = m.Board, m.Agent, m.Interval
		s.HelloBoot, s.HelloNow, s.HelloAt = boot, m.Now, out.now
		g.boot(m.Boots[len(m.Boots)-1]).greeted(out.now, m.Now)
	}
	var refused []id.Run
	for i := range m.Runs {
		info := &m.Runs[i]
		if r, ok := s.Runs[info.Run]; ok {
			g.forgotten(info, r, out)
			r.Board = m.Board
			r.Last = max(r.Last, info.Last)
			if r.State == wire.RunOpen {
				r.State = info.State
			}
			if r.State == wire.RunOpen {
				r.Interval = m.Interval // the same process still
			}
			continue
		}
		if g.tomb(info.Run) != nil {
			continue
		}
		if len(s.Runs) >= MaxRuns {
			refused = append(refused, info.Run)
			continue
		}
		g.begin(info, &m, ranks[info.Boot], out)
	}
	if !stale && len(m.Runs) < wire.MaxRuns {
		g.vanished(&m, out)
	}
	for _, run := range g.sortedRuns() {
		g.retireIfDone(run, out)
	}
	if len(refused) > 0 {
		return fmt.Errorf("limit: run %s and %d more would be more than %d of the gateway", refused[0], len(refused)-1, MaxRuns)
	}
	return nil
}

func (g *gateway) begin(info *wire.RunInfo, m *wire.Hello, rank uint64, out *gatewayOutput) {
	s, boot := g.state, m.Boots[info.Boot]
	s.NextRun++
	r := &runState{
		Class: info.Class, State: info.State, Board: m.Board, Boot: boot, Rank: rank, Interval: m.Interval,
		Order: s.NextRun, Next: info.First, Last: info.Last,
		SIDs: make(map[uint32]seriesState), Clks: make(map[uint32]clockState),
	}
	s.Runs[info.Run] = r
	if info.First > 1 {
		g.enter(out, history.Entry{Run: info.Run, Class: r.Class, Boot: boot, A: 1, B: info.First - 1, Reason: history.UnknownRemainder})
	}
}

// forgotten accounts for what a gateway holds no more, since it was acked, and
// this state has not seen: it is older than the acks, restored from a backup.
// Acks are behind the journal, and what an older connection of the gateway
// journaled is ahead of its hello.
func (g *gateway) forgotten(info *wire.RunInfo, r *runState, out *gatewayOutput) {
	if info.First <= r.Next {
		return
	}
	g.enter(out, history.Entry{Run: info.Run, Class: r.Class, Boot: r.Boot, A: r.Next, B: info.First - 1, Reason: history.UnknownRemainder})
	r.Next = info.First
}

// vanished retires the runs that this board had and holds no more: it lets go of
// a run when its last frame is acked, and may name it a while longer. What it
// should still have held is missing; and it never lets go of one that it has not
// called closed or unclean, so that the board has lost its state, and with it
// nobody knows what.
func (g *gateway) vanished(m *wire.Hello, out *gatewayOutput) {
	held := make(map[id.Run]bool, len(m.Runs))
	for i := range m.Runs {
		info := &m.Runs[i]
		held[info.Run] = info.State == wire.RunOpen || info.First <= info.Last
	}
	for _, run := range g.sortedRuns() {
		r := g.state.Runs[run]
		if held[run] || r.Board != m.Board {
			continue
		}
		if r.Next <= r.Last {
			g.missing(run, r, r.Last+1, out)
			r.Next = r.Last + 1
		}
		if r.State == wire.RunOpen {
			r.State = wire.RunClosed
			last := r.Tick / nanosPerMilli
			g.enter(out, history.Entry{Run: run, Class: r.Class, Boot: r.Boot, A: r.Next, Reason: history.UnknownRemainder, TFirst: last, TLast: last})
		}
	}
}

func (g *gateway) sortedRuns() []id.Run {
	return slices.SortedFunc(maps.Keys(g.state.Runs), func(a, b id.Run) int { return slices.Compare(a[:], b[:]) })
}

// retireIfDone retires a run that ended and of which nothing is left to come.
// An unclean one ends in the unknown: what was sampled and not committed.
func (g *gateway) retireIfDone(run id.Run, out *gatewayOutput) {
	s := g.state
	r := s.Runs[run]
	if r.State == wire.RunOpen || r.Next <= r.Last {
		return
	}
	if r.State == wire.RunUnclean {
		last := r.Tick / nanosPerMilli
		g.enter(out, history.Entry{Run: run, Class: r.Class, Boot: r.Boot, A: r.Next, Reason: history.Crash, Interval: r.Interval, TFirst: last, TLast: last})
	}
	delete(s.Runs, run)
	s.Count.Retired++
	if len(s.Tombs) >= MaxTombstones {
		s.Tombs = append(s.Tombs[:0], s.Tombs[1:]...)
	}
	s.Tombs = append(s.Tombs, tombstone{Run: run, Class: r.Class, Boot: r.Boot, Next: r.Next})
	g.ended = true
}

// forgetSchemas lets go of the schemas that no live run uses, if a run ended.
// It looks at all sids of all runs, so that a step does it once at most.
func (g *gateway) forgetSchemas() {
	if !g.ended {
		return
	}
	g.ended = false
	used := make(map[id.Schema]bool, len(g.state.Schemas))
	for _, r := range g.state.Runs {
		for _, s := range r.SIDs {
			used[s.Schema] = true
		}
	}
	for h := range g.state.Schemas {
		if !used[h] {
			delete(g.state.Schemas, h)
			delete(g.bodies, h)
		}
	}
}

func (g *gateway) tomb(run id.Run) *tombstone {
	for i := len(g.state.Tombs) - 1; i >= 0; i-- {
		if g.state.Tombs[i].Run == run {
			return &g.state.Tombs[i]
		}
	}
	return nil
}
