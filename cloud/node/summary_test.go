package node

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

// summarized waits until a node has the summary that holds, and returns it.
func (l *life) summarized(what string, holds func(client.SiteSummary) bool) (got client.SiteSummary) {
	l.t.Helper()
	until(l.t, l.node.cfg.Name+": "+what, func() bool {
		said, err := l.node.summary(l.t.Context(), gateway.Site)
		if errors.Is(err, actor.ErrStopped) { // is for who asks to try again, not for people
			l.t.Errorf("%s: %v", l.node.cfg.Name, err)
		}
		got = said
		return err == nil && holds(said)
	})
	return got
}

// owner splits nodes into the one that has a site's shard and the others.
func owner(t *testing.T, nodes []*life, name id.Site) (has *life, others []*life) {
	t.Helper()
	shard, known := nodes[0].node.catalog.Known(name)
	if !known {
		t.Fatalf("site %s is not known", name)
	}
	for _, l := range nodes {
		if _, held := l.node.seats.Of(shard); held && has == nil {
			has = l
		} else {
			others = append(others, l)
		}
	}
	if has == nil {
		t.Fatalf("nobody has shard %d", shard)
	}
	return has, others
}

// I3: what is said of a site comes from the one node that has it, whoever is
// asked, and after a move from the next.
func TestTheSummaryOfASiteComesFromItsOwnerWhoeverIsAskedAndWhereverItMoves(t *testing.T) {
	nodes := together(t)
	nodes[0].journal(append(opening(), frame(1), frame(2))...)
	for _, l := range nodes {
		l.reports(2)
	}
	has, others := owner(t, nodes, gateway.Site)
	for _, l := range nodes {
		got := l.summarized("the owner answers", func(s client.SiteSummary) bool { return s.Devices == 1 })
		if got.Owner != has.node.cfg.Name || got.Gateways != 1 || got.Applied == 0 || got.Epoch == 0 {
			t.Errorf("%s was told %+v, the owner is %s", l.node.cfg.Name, got, has.node.cfg.Name)
		}
	}
	for _, l := range nodes {
		all, err := l.api.SitesInShort(t.Context())
		if err != nil || len(all) != 1 || all[0].Summary == nil || all[0].Summary.Owner != has.node.cfg.Name {
			t.Errorf("%s lists %+v, %v", l.node.cfg.Name, all, err)
		}
	}
	// Who takes another node for the owner is corrected.
	name := has.node.cfg.Name
	stale(t, others[0], others[1].node.cfg.Name, name)
	// The actor is still in memory where its shard was, and must not answer.
	if err := others[0].node.members.Drain(t.Context(), name, true); err != nil {
		t.Fatal(err)
	}
	for _, l := range nodes {
		l.summarized("the next owner answers", func(s client.SiteSummary) bool { return s.Owner != name && s.Devices == 1 })
	}
	// Who takes a node that is gone for the owner is corrected too.
	has.stop()
	next, rest := owner(t, others, gateway.Site)
	stale(t, rest[0], name, next.node.cfg.Name)
	for _, l := range others {
		l.stop()
	}
}

// stale asks for a summary at a node where it is not.
func stale(t *testing.T, l *life, at, owner string) {
	t.Helper()
	codec, err := summaryCodec()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := actor.RefAt(l.node.actors.Engine(), actor.PID{Address: addressOf(at), ID: "summary/hq"}, codec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	said, err := actor.Ask(ctx, ref, func(r actor.Reply[reply]) question { return question{Reply: r} })
	if err != nil || said.Refused != "" || said.Summary.Owner != owner {
		t.Errorf("asked at %s: %+v, %v; want %s to answer", at, said, err, owner)
	}
}

// I5: a site whose owner does not answer is said so, and keeps no other.
func TestAListSaysWhyASiteHasNoSummary(t *testing.T) {
	l := start(t, t.TempDir())
	defer l.stop()
	l.journal(append(opening(), frame(1))...)
	l.reports(1)
	all := []client.Site{{Site: "hq"}, {Site: "nowhere"}}
	views{l.node}.Summarize(t.Context(), all)
	if all[0].Summary == nil || all[0].Summary.Owner != "n1" || all[0].SummaryError != "" {
		t.Errorf("got %+v", all[0])
	}
	if all[1].Summary != nil || !strings.Contains(all[1].SummaryError, "nowhere") {
		t.Errorf("of a site that is not: %+v", all[1])
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	late := []client.Site{{Site: "hq"}}
	views{l.node}.Summarize(over, late)
	if late[0].Summary != nil || !strings.Contains(late[0].SummaryError, "canceled") {
		t.Errorf("out of time: %+v", late[0])
	}
}
