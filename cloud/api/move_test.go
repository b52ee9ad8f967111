package api_test

import (
	"context"
	"fmt"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

func (fakeViews) SiteShard(_ context.Context, name id.Site) (client.SiteShard, error) {
	if name != "hq" {
		return client.SiteShard{}, api.ErrNotFound
	}
	return client.SiteShard{Site: "hq", Shard: 2, State: "settled", Revision: 7}, nil
}

func (fakeViews) MoveSite(_ context.Context, name id.Site, to int, expect uint64) (client.SiteShard, error) {
	switch {
	case name != "hq":
		return client.SiteShard{}, api.ErrNotFound
	case to == 2 || expect != 0 && expect != 7:
		return client.SiteShard{}, fmt.Errorf("%w: it is in shard 2, at revision 7", api.ErrRefused)
	}
	return client.SiteShard{Site: "hq", Shard: 2, State: "moving", To: &to, Revision: 8}, nil
}
