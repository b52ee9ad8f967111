package peer

import (
	"net/url"
	"strings"

	"github.com/atrium-iot/atrium/shared/id"
)

// place is where a request can be answered.
type place uint8

const (
	// anywhere: from the catalog, which every node has; or it is about the node
	// that is asked.
	anywhere place = iota
	// atOwner: from the state or the history of a site, which its owner has.
	atOwner
	// ratherAtOwner: by every node, and better by the owner of a site: a
	// pipeline's document is compared with the site's devices where they are
	// known, and applied without that where they are not; who has put it reads
	// it back from the same node. Why a shard is where it is the owner says best,
	// as it hands it over, and without an owner is when people ask.
	ratherAtOwner
)

// placeOf says where a request can be answered, and of which site it is, from
// its path as it was sent. What makes no sense is for this node to refuse.
func placeOf(path string) (place, id.Site) {
	if rest, ok := strings.CutPrefix(path, "/v1/sites/"); ok {
		name, of, more := strings.Cut(rest, "/")
		if site, ok := siteOf(name); ok && more {
			switch of {
			case "placement":
				return ratherAtOwner, site
			case "shard":
				return anywhere, ""
			}
			return atOwner, site
		}
		return anywhere, ""
	}
	if name, ok := strings.CutPrefix(path, "/v1/documents/pipeline/"); ok {
		if name, err := url.PathUnescape(name); err == nil {
			name, _, _ := strings.Cut(name, "/")
			if site, ok := siteOf(name); ok {
				return ratherAtOwner, site
			}
		}
	}
	return anywhere, ""
}

func siteOf(escaped string) (id.Site, bool) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return "", false
	}
	site, err := id.ParseSite(name)
	return site, err == nil
}
