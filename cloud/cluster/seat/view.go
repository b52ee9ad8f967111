package seat

import (
	"fmt"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/site"
)

// Seat is a shard that this node holds.
type Seat struct {
	Shard int
	Claim *cluster.Ownership
	Work  *site.Shard
}

// Of returns this node's seat at a shard, if it has claimed it. The work may
// still recover, and may end at any moment: its answers say so.
func (s *Seats) Of(shard int) (Seat, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.seats[shard]
	return Seat{shard, t.claim, t.work}, t.work != nil
}

// Held returns the shards that this node has claimed, by number.
func (s *Seats) Held() (all []Seat) {
	for i := range s.seats {
		if one, ok := s.Of(i); ok {
			all = append(all, one)
		}
	}
	return all
}

// Why returns why a shard is where it is or goes elsewhere, as of the last
// decision; false before the first.
func (s *Seats) Why(shard int) (placement.Reason, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shard >= len(s.plan.Why) {
		return placement.Reason{}, false
	}
	return s.plan.Why[shard], true
}

// Ready returns nil when every shard that this node is to have is served, and
// otherwise an error that names one that is not.
func (s *Seats) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.seats {
		t := &s.seats[i]
		switch h := s.parts.Owners.Of(i); {
		case t.active():
		case t.err != nil:
			return fmt.Errorf("shard %d failed and is taken up again: %w", i, t.err)
		case t.taken:
			return fmt.Errorf("shard %d recovers", i)
		case h.Serving() == "" || h.Serving() == s.cfg.Node:
			return fmt.Errorf("shard %d has no owner yet", i)
		}
	}
	return nil
}
