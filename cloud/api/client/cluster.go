package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// Holding is a shard and who has it, as the node that answers has heard.
type Holding struct {
	Shard       int    `json:"shard"`
	Owner       string `json:"owner" doc:"The node that serves it; empty if none has claimed it yet."`
	State       string `json:"state" enum:"unclaimed,recovering,active,offered" doc:"offered: it is being handed over."`
	Incarnation uint64 `json:"incarnation" doc:"Of the cluster's store; one that was restored has the next."`
	Epoch       uint64 `json:"epoch" doc:"How often it was claimed in this incarnation."`
	Rule        string `json:"rule" doc:"Why it is to be on its target, in a word; empty before the node's first decision."`
	Target      string `json:"target" doc:"The node where it is to be, now or after a wait; empty if nowhere."`
	Sites       int    `json:"sites" doc:"That are assigned to it."`
}

// Placement says why a shard is where it is or goes elsewhere, by the last
// decision of the node that answers.
type Placement struct {
	Shard      int         `json:"shard"`
	Zone       string      `json:"zone" doc:"Its home: where most of its sites are."`
	Owner      string      `json:"owner"`
	OwnerState string      `json:"owner_state" enum:"live,draining,dead"`
	Target     string      `json:"target" doc:"Where it is to be; empty if nowhere."`
	Rule       string      `json:"rule" doc:"What decided, in a word."`
	Text       string      `json:"text" doc:"All of it in words, for people: a sentence, then the candidates, one a line."`
	Candidates []Candidate `json:"candidates" doc:"The first of the nodes that live, and owner and target, by rank."`
}

// Candidate is a live node as a shard ranks it.
type Candidate struct {
	Rank   int     `json:"rank" doc:"From 1."`
	Node   string  `json:"node"`
	Zone   string  `json:"zone"`
	Score  float64 `json:"score" doc:"Weight and bonus over a hash of node and shard: the highest is first."`
	Health float64 `json:"health" doc:"1, or less if the node counts as smaller, by its measured load."`
	Weight float64 `json:"weight" doc:"Its capacity times its health."`
	Bonus  float64 `json:"bonus" doc:"Of the home zone; otherwise 1."`
	Fill   float64 `json:"fill" doc:"The node's load as a part of its share."`
	Full   bool    `json:"full" doc:"It has no room for this shard."`
}

// DrainRequest asks to empty a node, or to give it shards again.
type DrainRequest struct {
	Drain bool `json:"drain"`
}

// Drain is how far a node is emptied.
type Drain struct {
	Node   string `json:"node"`
	Drain  bool   `json:"drain" doc:"As it was asked for."`
	Shards int    `json:"shards" doc:"That it still serves: with none it may stop."`
	Core   bool   `json:"core" doc:"It holds the cluster's store, also when it serves no shard."`
}

// Advice is whether the cluster should get a node or give one back.
type Advice struct {
	Action string    `json:"action" enum:"stay,out,in" doc:"out: add one node; in: drain one and stop it."`
	Why    string    `json:"why"`
	Node   string    `json:"node,omitempty" doc:"Of in: the worker with the fewest shards. Absent without a worker: core nodes hold the store, people decide on these."`
	Since  time.Time `json:"since" doc:"Of the oldest sample that this node holds: it takes one every 10 s."`
}

// Shards returns every shard and who has it.
func (c *Client) Shards(ctx context.Context) ([]Holding, error) {
	return collect(list[Holding](ctx, c, nil, "v1", "shards"))
}

// Why returns why a shard is where it is.
func (c *Client) Why(ctx context.Context, shard int) (Placement, error) {
	return get[Placement](ctx, c, nil, "v1", "shards", strconv.Itoa(shard), "why")
}

// Placement returns why the shard of a site is where it is.
func (c *Client) Placement(ctx context.Context, site id.Site) (Placement, error) {
	return get[Placement](ctx, c, nil, "v1", "sites", string(site), "placement")
}

// Drain asks to empty a node, or with on false to give it shards again. Asking
// again changes nothing.
func (c *Client) Drain(ctx context.Context, node string, on bool) (out Drain, err error) {
	u := c.base.JoinPath("v1", "nodes", node, "drain")
	body, err := json.Marshal(DrainRequest{on})
	if err == nil {
		body, err = c.fetch(ctx, request{method: http.MethodPut, url: u.String(), media: "application/json", body: body})
	}
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		return out, fmt.Errorf("PUT %s: %w", u, err)
	}
	return out, nil
}

const (
	// drainLook is how often a drain is looked at: a shard takes a second or so.
	drainLook = 500 * time.Millisecond
	// drainPatience is how many looks in a row may fail: the node that is asked
	// may restart meanwhile.
	drainPatience = 20
)

// Emptied waits until a node that drains serves nothing. It tells of the
// beginning and of each change; an error of tell ends the waiting, never the
// drain.
func (c *Client) Emptied(ctx context.Context, d Drain, tell func(Drain) error) error {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	if err := tell(d); err != nil {
		return err
	}
	for failed := 0; d.Shards > 0; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		all, err := c.Shards(ctx)
		if err != nil {
			if failed++; failed == drainPatience || ctx.Err() != nil {
				return errors.Join(ctx.Err(), err)
			}
			continue
		}
		failed = 0
		left := 0
		for _, h := range all {
			if h.Owner == d.Node {
				left++
			}
		}
		if left == d.Shards {
			continue
		}
		d.Shards = left
		if err := tell(d); err != nil {
			return err
		}
	}
	return nil
}

// Advice returns whether the cluster should get a node or give one back.
func (c *Client) Advice(ctx context.Context) (Advice, error) {
	return get[Advice](ctx, c, nil, "v1", "advice")
}
