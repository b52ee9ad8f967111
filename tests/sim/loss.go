package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
)

// loss is what the line may lose by a disaster: of the runs that a gateway had
// begun until then, what was not acked.
type loss struct {
	gateway *gateway
	at      time.Time
	acked   map[id.Run]uint64
}

// lost notes that what a gateway had and nobody acked may be gone.
func (s *Sim) lost(g *gateway) {
	s.books.mu.Lock()
	acked := maps.Clone(s.books.acked)
	s.books.mu.Unlock()
	s.lossMu.Lock()
	defer s.lossMu.Unlock()
	s.losses = append(s.losses, loss{g, time.Now(), acked})
}

// lossOf returns the disaster that struck a run, nil for none.
func (s *Sim) lossOf(run id.Run) *loss {
	if p := s.books.began(run); p != nil {
		return s.lossBy(p)
	}
	return nil
}

// lossBy returns the first disaster behind the begin of a process.
func (s *Sim) lossBy(p *process) *loss {
	s.lossMu.Lock()
	defer s.lossMu.Unlock()
	for i := range s.losses {
		if l := &s.losses[i]; l.gateway == p.gw && p.began.Before(l.at) {
			return l
		}
	}
	return nil
}

// struck says whether a disaster may have taken a frame.
func (s *Sim) struck(at frameKey) bool {
	if s.tap.forgot(at) {
		return true
	}
	l := s.lossOf(at.run)
	return l != nil && at.seq > l.acked[at.run]
}

// checkRemainders demands that what the ledger gives up without a word of the
// gateway's is what a disaster took: nothing else may be missing or unknown, and
// nothing that was acked (I1).
func (s *Sim) checkRemainders(ledger []history.Entry) {
	for i := range ledger {
		e := &ledger[i]
		if !givenUp(e.Reason) {
			continue
		}
		if !s.allStruck(e) {
			s.trace.complain("I1", "the ledger has %s of run %s, %d..%d, and nothing took that", e.Reason, e.Run, e.A, e.B)
		}
	}
}

func (s *Sim) allStruck(e *history.Entry) bool {
	if e.B == 0 && s.lossOf(e.Run) == nil {
		return false
	}
	for seq := e.A; seq <= max(e.A, e.B); seq++ {
		if !s.struck(frameKey{e.Run, seq}) {
			return false
		}
	}
	return true
}

// givenUp says whether a reason is the cloud's own, and no gateway's word.
func givenUp(r history.Reason) bool {
	return r == history.Missing || r == history.Late || r == history.UnknownRemainder
}

// checkTwins demands that two boards with one identity are noticed, and no other
// ones.
func (s *Sim) checkTwins(ledger []history.Entry) {
	for _, g := range s.gateways {
		seen := slices.ContainsFunc(ledger, func(e history.Entry) bool {
			return e.Reason == history.IdentityTwice && e.Site == g.name.Site && e.Gateway == g.name.Name
		})
		if cloned := g.clone != nil || g.inserted != nil; seen != cloned {
			s.trace.complain("I1", "%s: a clone of it %t, the ledger says so %t", g.name, cloned, seen)
		}
	}
}

// disowned is what came of runs that another board had called ended.
func (s *Sim) disowned(ledger []history.Entry) map[frameKey]history.Reason {
	all := map[frameKey]history.Reason{}
	for i := range ledger {
		e := &ledger[i]
		if e.Reason != history.Late && e.Reason != history.Missing || s.lossOf(e.Run) == nil {
			continue
		}
		for seq := e.A; seq <= e.B; seq++ {
			all[frameKey{e.Run, seq}] = e.Reason
		}
	}
	return all
}

// cloned says whether two boards are a gateway.
func (s *Sim) cloned(origin string) bool {
	return slices.ContainsFunc(s.gateways, func(g *gateway) bool { return g.clone != nil && g.name.String() == origin })
}

// leftOpen says whether the ledger leaves the end of one of a gateway's runs open
// that a disaster struck: of runs that no hello had named it can tell no more.
func (s *Sim) leftOpen(g *gateway, ledger []history.Entry) bool {
	return slices.ContainsFunc(ledger, func(e history.Entry) bool {
		l := s.lossOf(e.Run)
		return l != nil && l.gateway == g && e.A > 0 && e.B == 0
	})
}
