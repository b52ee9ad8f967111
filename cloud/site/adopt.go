package site

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
)

// notPutAgain is the pause before it is looked again for a part that the former
// shard's owner has still to put: it does so with its next snapshot.
const notPutAgain = 5 * time.Second

// adopt says that a site is here whose rows of another shard's messages, up to
// one, are wanted. It may be repeated. It wants nothing where no parts are kept:
// there is but one history.
func (h *shelf) adopt(site id.Site, from int, to uint64) error {
	if h == nil {
		return nil
	}
	if h.partsOf == nil {
		return fmt.Errorf("adopt site %s: the parts of shard %d can't be read", site, from)
	}
	if err := h.history.Adopt(site, from, to); err != nil {
		return err
	}
	h.mu.Lock()
	h.adopted[site] = true
	h.mu.Unlock()
	select {
	case h.adopting <- struct{}{}:
	default:
	}
	return nil
}

// letGo says that a site has left the shard: what is still wanted of it is no
// longer this owner's to fill in.
func (h *shelf) letGo(site id.Site) {
	if h == nil {
		return
	}
	h.mu.Lock()
	delete(h.adopted, site)
	h.mu.Unlock()
}

// wanted returns what history lacks of the sites that are here, by the shard that
// they came from and then by the lower end.
func (h *shelf) wanted() []history.Adoption {
	all := h.history.Adoptions()
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(all, func(a history.Adoption) bool { return !h.adopted[a.Site] })
}

// fillAdopted waits for sites that came from other shards and fills their rows
// in, until ctx is done.
func (h *shelf) fillAdopted(ctx context.Context) {
	for ctx.Err() == nil {
		fillers := make(map[int]*filler)
		for ctx.Err() == nil {
			begin := time.Now()
			more, err := h.fillSites(ctx, fillers)
			if !more {
				break
			}
			wait := time.Since(begin)
			switch {
			case errors.Is(err, errNotPut):
				wait = notPutAgain
			case err != nil && ctx.Err() == nil:
				h.s.log.Error("history of sites that moved can't be filled yet, it is tried again", "err", err)
				wait = partRetry
			}
			_ = pause(ctx, wait)
		}
		select {
		case <-ctx.Done():
		case <-h.adopting:
		}
	}
}

// fillSites takes a part of each shard from which sites came, for all sites that
// wait for it, and reports whether there was something to do. An error is that of
// a shard, or errNotPut if nothing else was to be had.
func (h *shelf) fillSites(ctx context.Context, fillers map[int]*filler) (more bool, err error) {
	all := h.wanted()
	h.s.metrics.adopted.Set(float64(len(all)))
	progress := false
	for len(all) > 0 {
		more = true
		first := all[0]
		n := slices.IndexFunc(all, func(a history.Adoption) bool { return a.Shard != first.Shard })
		if n < 0 {
			n = len(all)
		}
		hole := history.Hole{After: first.After}
		for _, a := range all[:n] {
			hole.To = max(hole.To, a.To)
		}
		all = all[n:]
		f := fillers[first.Shard]
		if f == nil {
			f = h.siteFiller(first.Shard)
			fillers[first.Shard] = f
		}
		switch serr := f.step(ctx, hole); {
		case serr == nil:
			progress = true
		case !errors.Is(serr, errNotPut):
			err = errors.Join(err, serr)
		}
	}
	if more && !progress && err == nil {
		err = errNotPut
	}
	return more, err
}

// siteFiller fills from another shard's parts. Its owner may have still to put
// what lies behind the last one.
func (h *shelf) siteFiller(shard int) *filler {
	bucket := h.partsOf(shard)
	return &filler{
		shelf: h, shard: shard, get: bucket.Get,
		list: func(ctx context.Context) (holding, uint64, error) {
			all, err := bucket.List(ctx)
			held := holdingOf(all, math.MaxUint64)
			return held, held.end(), err
		},
		fill: func(p *history.Part) error {
			for _, a := range h.wanted() {
				if a.Shard != shard || a.After < p.After || a.After >= p.To {
					continue
				}
				if err := h.history.FillSite(p, a.Site); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
