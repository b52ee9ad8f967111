package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// passedSubject is the bus's subject for the question whether a shard's owner
	// has forwarded what a gate waits for.
	passedSubject = "passed"
	// passedWithin bounds one such question: who owns the shard answers at once.
	passedWithin = time.Second
)

// moves is what the owners of shards need to move sites between them.
type moves struct{ n *node }

func moveOf(a catalog.Assignment) site.Move {
	m := site.Move{Site: a.Site, Shard: a.Shard, To: -1, Revision: a.Revision}
	if a.Moving != nil {
		m.To, m.Out, m.Digest = a.Moving.To, a.Moving.Out, a.Moving.Digest
	}
	return m
}

// Under implements site.Moves.
func (m moves) Under(shard int) (all []site.Move) {
	for _, a := range m.n.catalog.Moves(shard) {
		all = append(all, moveOf(a))
	}
	return all
}

// Where implements site.Moves.
func (m moves) Where(name id.Site) (site.Move, bool) {
	a, known := m.n.catalog.Assigned(name)
	return moveOf(a), known
}

// Departed implements site.Moves.
func (m moves) Departed(ctx context.Context, v site.Move, at uint64, digest [sha256.Size]byte) error {
	a, err := m.unchanged(v)
	if err != nil {
		return err
	}
	return m.n.catalog.Departed(ctx, a, at, digest)
}

// Arrived implements site.Moves.
func (m moves) Arrived(ctx context.Context, v site.Move) error {
	a, err := m.unchanged(v)
	if err != nil {
		return err
	}
	return m.n.catalog.Arrived(ctx, a)
}

func (m moves) unchanged(v site.Move) (catalog.Assignment, error) {
	a, _ := m.n.catalog.Assigned(v.Site)
	if a.Revision != v.Revision {
		return a, fmt.Errorf("site %s: revision %d, not %d any more: %w", v.Site, a.Revision, v.Revision, journal.ErrConflict)
	}
	return a, nil
}

// Objects implements site.Moves.
func (m moves) Objects(shard int) site.Objects { return m.n.objects[shard] }

// Append implements site.Moves.
func (m moves) Append(shard int, key string, rec journal.Record, done func(uint64, error)) error {
	return m.n.coalescer.Append(shard, key, rec, done)
}

// route is where the gate appends what is a site's.
func (n *node) route(name id.Site) (gate.Route, bool) {
	a, known := n.catalog.Assigned(name)
	return gate.Route{Shard: a.Shard, Past: a.Past, Revision: a.Revision}, known
}

// passed asks the owner of a shard, here or on another node, whether it has
// forwarded all of a site up to a message.
func (n *node) passed(ctx context.Context, shard int, name id.Site, seq uint64) (bool, error) {
	if s, here := n.seats.Of(shard); here {
		return s.Work.Passed(name, seq), nil
	}
	ctx, cancel := context.WithTimeout(ctx, passedWithin)
	defer cancel()
	answer, err := n.bus.Request(ctx, passedSubject, fmt.Appendf(nil, "%d %d %s", shard, seq, name))
	if err != nil {
		return false, err
	}
	return string(answer) == "yes", nil
}

// answerPassed answers other nodes about the shards that are here.
func (n *node) answerPassed() error {
	_, err := n.bus.Subscribe(passedSubject, func(m journal.BusMessage) {
		var shard int
		var seq uint64
		var name string
		if _, err := fmt.Sscanf(string(m.Data), "%d %d %s", &shard, &seq, &name); err != nil || m.Reply == nil || shard < 0 || shard >= len(n.logs) {
			return
		}
		s, here := n.seats.Of(shard)
		if !here {
			return // who owns it answers
		}
		answer := "no"
		if s.Work.Passed(id.Site(name), seq) {
			answer = "yes"
		}
		if err := m.Reply([]byte(answer)); err != nil {
			n.log.Debug("a question about what was forwarded got no answer", "shard", shard, "err", err)
		}
	})
	if err != nil {
		return fmt.Errorf("questions about what was forwarded: %w", err)
	}
	return nil
}

// SiteShard returns where a site is, and where it is on its way to.
func (v views) SiteShard(ctx context.Context, name id.Site) (client.SiteShard, error) {
	a, err := v.n.catalog.Refresh(ctx, name)
	return siteShard(a, err)
}

// MoveSite begins to move a site. Programs from before would not know where it
// went, so that all nodes that live must.
func (v views) MoveSite(ctx context.Context, name id.Site, to int, expect uint64) (client.SiteShard, error) {
	for _, m := range v.n.members.Members() {
		if !m.Dead && !m.Moves {
			return client.SiteShard{}, fmt.Errorf("%w: node %s runs %s, which does not know sites that move: upgrade it first", api.ErrRefused, m.Name, m.Version)
		}
	}
	if to >= 0 && to < len(v.n.logs) && v.n.catalog.Load(to) >= site.MaxSites {
		return client.SiteShard{}, fmt.Errorf("%w: shard %d has %d sites, which is the most", api.ErrRefused, to, site.MaxSites)
	}
	a, err := v.n.catalog.MoveSite(ctx, name, to, expect)
	return siteShard(a, err)
}

func siteShard(a catalog.Assignment, err error) (client.SiteShard, error) {
	switch {
	case errors.Is(err, catalog.ErrUnknownSite):
		return client.SiteShard{}, fmt.Errorf("%w: %w", api.ErrNotFound, err)
	case errors.Is(err, catalog.ErrMove), errors.Is(err, journal.ErrConflict):
		return client.SiteShard{}, fmt.Errorf("%w: %w", api.ErrRefused, err)
	case err != nil:
		return client.SiteShard{}, fmt.Errorf("%w: %w", api.ErrNotStored, err)
	}
	out := client.SiteShard{Site: string(a.Site), Shard: a.Shard, State: "settled", Revision: a.Revision, Past: a.Past}
	if a.Moving != nil {
		out.State, out.To = "moving", &a.Moving.To
	}
	return out, nil
}
