package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// SiteShard is where a site's state lives.
type SiteShard struct {
	Site     string `json:"site"`
	Shard    int    `json:"shard" doc:"While it moves, the one that it leaves."`
	State    string `json:"state" enum:"settled,moving"`
	To       *int   `json:"to,omitempty" doc:"The shard that it moves to."`
	Revision uint64 `json:"revision" doc:"Of the site's assignment in the catalog."`
	Past     []int  `json:"past,omitempty" doc:"The shards that it has left, in that order."`
}

// SiteShardRequest asks for another shard.
type SiteShardRequest struct {
	Shard    int    `json:"shard" doc:"Where the site is to be."`
	Revision uint64 `json:"revision,omitempty" doc:"That the request goes by: refused if the site has moved since. 0: any."`
}

// SiteShard returns where a site is.
func (c *Client) SiteShard(ctx context.Context, site id.Site) (SiteShard, error) {
	return c.siteShard(ctx, http.MethodGet, site, nil)
}

// MoveSite has a site move to another shard. The answer comes before it has.
func (c *Client) MoveSite(ctx context.Context, site id.Site, to int) (SiteShard, error) {
	body, err := json.Marshal(SiteShardRequest{Shard: to})
	if err != nil {
		return SiteShard{}, err
	}
	return c.siteShard(ctx, http.MethodPut, site, body)
}

func (c *Client) siteShard(ctx context.Context, method string, site id.Site, body []byte) (out SiteShard, err error) {
	u := c.base.JoinPath("v1", "sites", string(site), "shard")
	r := request{method: method, url: u.String()}
	if body != nil {
		r.media, r.body = "application/json", body
	}
	answer, err := c.fetch(ctx, r)
	if err == nil {
		err = json.Unmarshal(answer, &out)
	}
	if err != nil {
		return out, fmt.Errorf("%s %s: %w", method, u, err)
	}
	return out, nil
}

// moveLook is how often a move is looked at: most take less.
const moveLook = 100 * time.Millisecond

// movePatience is how many looks in a row may fail: the node that is asked may
// restart meanwhile.
const movePatience = 100

// Settled waits until a site has come where it moves to. An error ends the
// waiting, never the move.
func (c *Client) Settled(ctx context.Context, s SiteShard) (SiteShard, error) {
	tick := time.NewTicker(moveLook)
	defer tick.Stop()
	for failed := 0; s.State == "moving"; {
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-tick.C:
		}
		now, err := c.SiteShard(ctx, id.Site(s.Site))
		if err != nil {
			if failed++; failed == movePatience || ctx.Err() != nil {
				return s, errors.Join(ctx.Err(), err)
			}
			continue
		}
		failed, s = 0, now
	}
	return s, nil
}
