package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/cluster/seat"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/cborcodec"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// summaryType names the actors that know a site in short: summary/hq. A
	// site's own group of actors is site/hq.
	summaryType = "summary"
	// summaryWithin is how long the owner of a site may take to say how it does.
	// A page waits for it.
	summaryWithin = 2 * time.Second
	// summariesAtOnce bounds the owners' questions of one page: a quarter of what
	// a node takes from all others (cloud/cluster/transport).
	summariesAtOnce = 256
	// summaryIdle is how long such an actor stays: two looks of somebody who
	// looks now and then.
	summaryIdle = time.Minute
)

// question asks how a site does. It comes back to its actor when its shard has
// said so.
type question struct {
	Reply actor.Reply[reply]
	said  *reply `cbor:"-"`
}

// reply is how a site does, or why the owner of its shard cannot say so.
type reply struct {
	Summary client.SiteSummary
	Refused string
}

// registerSummaries makes the type of the actors that know a site in short. Any
// node may ask them; each is where its site's shard is.
func (n *node) registerSummaries() (actor.Type[question], error) {
	codec, err := summaryCodec()
	if err != nil {
		return actor.Type[question]{}, err
	}
	props := actor.PropsOf(func() actor.ReceiverOf[question] { return &summarist{node: n} }).
		WithCodec(codec).WithPassivation(actor.Passivation{Idle: summaryIdle})
	return actor.Register(n.actors.Engine(), summaryType, props)
}

// summaryCodec is how questions and replies travel.
func summaryCodec() (*actor.Codec[question], error) {
	answer, err := cborcodec.Answer("summary", func(q *question) *actor.Reply[reply] { return &q.Reply })
	if err != nil {
		return nil, err
	}
	return cborcodec.Of("site.Summary/1", answer)
}

// summarist says how its site does. It keeps nothing: the shard knows.
type summarist struct{ node *node }

// Receive asks the shard, without holding a worker meanwhile. When the shard is
// not here any more the actor ends, and with it the question: who asks again
// finds the next owner's.
func (a *summarist) Receive(c *actor.ContextOf[question]) {
	q := c.Message()
	if q.said != nil {
		q.Reply.Send(*q.said)
		return
	}
	name := id.Site(strings.TrimPrefix(c.PID().ID, summaryType+"/"))
	shard, known := a.node.catalog.Known(name)
	if !known {
		c.Stop()
		return
	}
	s, here := a.node.seats.Of(shard)
	if !here {
		c.Stop()
		return
	}
	err := c.PipeTo(func(ctx context.Context) question {
		said := a.node.summarize(ctx, s, name)
		return question{Reply: q.Reply, said: &said}
	})
	if err != nil {
		q.Reply.Send(reply{Refused: err.Error()})
	}
}

// summarize asks a shard of this node how a site does.
func (n *node) summarize(ctx context.Context, s seat.Seat, name id.Site) reply {
	ctx, cancel := context.WithTimeout(ctx, summaryWithin)
	defer cancel()
	select {
	case <-s.Work.Active():
	default:
		return reply{Refused: fmt.Sprintf("node %s recovers shard %d", n.cfg.Name, s.Shard)}
	}
	v, applied, err := s.Work.Summary(ctx, name)
	if err != nil {
		return reply{Refused: err.Error()}
	}
	return reply{Summary: client.SiteSummary{
		Gateways: v.Gateways, Devices: v.Devices, Live: v.Live, Silent: v.Silent, Alarms: v.Alarms,
		Owner: n.cfg.Name, Epoch: s.Claim.Epoch(), Applied: applied,
	}}
}

// summary asks the owner of a site, wherever it is, how the site does.
func (n *node) summary(ctx context.Context, name id.Site) (client.SiteSummary, error) {
	ref, err := n.summaries.Ref(string(name))
	if err != nil {
		return client.SiteSummary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, summaryWithin)
	defer cancel()
	ask := func() (reply, error) {
		return actor.Ask(ctx, ref, func(r actor.Reply[reply]) question { return question{Reply: r} })
	}
	said, err := ask()
	if errors.Is(err, actor.ErrStopped) { // the shard had left
		said, err = ask()
	}
	switch {
	case err != nil:
		return client.SiteSummary{}, err
	case said.Refused != "":
		return client.SiteSummary{}, fmt.Errorf("%w: %s", api.ErrUnavailable, said.Refused)
	}
	return said.Summary, nil
}

// Summarize asks all owners side by side.
func (v views) Summarize(ctx context.Context, sites []client.Site) {
	var g errgroup.Group
	g.SetLimit(summariesAtOnce)
	for i := range sites {
		s := &sites[i]
		g.Go(func() error {
			said, err := v.n.summary(ctx, id.Site(s.Site))
			if err != nil {
				s.SummaryError = err.Error()
				return nil
			}
			s.Summary = &said
			return nil
		})
	}
	_ = g.Wait() // none fails: each site says what became of it
}
