package actor

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// SiteLimits bounds what each site uses. A site is the part of an actor's ID
// before the first slash; for a virtual actor, of what follows its type, so that
// "twin/hq/t1" of the type "twin" is of the site "hq". A child is of its parent's
// site. Zero is no limit.
type SiteLimits struct {
	// Actors is how many may be in memory: Spawn, and a message that would
	// activate one more, get ErrLimit.
	Actors int
	// Messages is how many may be accepted and not handled by all of them
	// together: one more gets ErrLimit and activates nobody. A message counts until the batch is
	// settled in which its actor took it. What actors order for themselves
	// counts and is not refused: timers, notices and events. Senders that wait
	// for room count once they have it.
	Messages int
}

// sites are the quotas of all sites that have actors.
type sites struct {
	limits SiteLimits

	mu    sync.Mutex
	known map[string]*site
}

// site is what one site uses.
type site struct {
	name     string
	actors   int // the lock's of sites
	messages atomic.Int64
}

// LimitSites bounds every site. It comes before the first Spawn and Register. Where it is
// used, each message passes its site's account, and WithCallerRuns has no
// effect; else sites cost nothing.
func (s *ActorSystem) LimitSites(limits SiteLimits) error {
	for _, f := range []struct {
		name  string
		value int
	}{{"Actors", limits.Actors}, {"Messages", limits.Messages}} {
		if f.value < 0 || f.value > maxSetting {
			return fmt.Errorf("actor: limit sites: %s: want 0 (none) to %d, got %d", f.name, maxSetting, f.value)
		}
	}
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, sp := range e.types {
		if sp.seen {
			return errors.New("actor: limit sites: actors, or a registered type, are there already")
		}
	}
	e.sites = nil
	if limits != (SiteLimits{}) {
		e.sites = &sites{limits: limits, known: make(map[string]*site)}
	}
	return nil
}

// siteOf is the name of the site that a name begins with.
func siteOf(name string) string {
	site, _, _ := strings.Cut(name, "/")
	return site
}

// siteName is the name of an actor's site; "" where sites have no limits.
func (a *cell[M]) siteName() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cold == nil || a.cold.site == nil {
		return ""
	}
	return a.cold.site.name
}

// enterSiteLocked counts an actor in its site and lets its messages pass the
// site's account.
func (a *cell[M]) enterSiteLocked(name string) error {
	all := a.kind.system.engine.sites
	if all == nil {
		return nil
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.known[name]
	if s == nil {
		s = &site{name: name}
	}
	if all.limits.Actors > 0 && s.actors >= all.limits.Actors {
		return ErrLimit
	}
	s.actors++
	all.known[name] = s
	a.coldLocked().site = s
	a.gate |= limited
	return nil
}

// enterLimitsLocked counts an actor in its type and its site, or in neither.
func (a *cell[M]) enterLimitsLocked(site string) error {
	if !a.kind.census.enter() {
		return ErrLimit
	}
	err := a.enterSiteLocked(site)
	if err != nil {
		a.kind.census.leave()
	}
	return err
}

func (a *cell[M]) leaveLimitsLocked(c *cold[M]) {
	a.kind.census.leave()
	a.leaveSiteLocked(c)
}

// leaveSiteLocked takes an actor out of its site, with what it has accepted.
func (a *cell[M]) leaveSiteLocked(c *cold[M]) {
	if c == nil || c.site == nil {
		return
	}
	s, all := c.site, a.kind.system.engine.sites
	s.messages.Add(-int64(c.counted))
	c.site, c.counted = nil, 0
	a.gate &^= limited
	all.mu.Lock()
	defer all.mu.Unlock()
	if s.actors--; s.actors == 0 {
		delete(all.known, s.name)
	}
}

// reserveLocked counts up to n messages more in the actor's site, and returns
// for how many it has room. What is then not accepted is given back by the next
// account.
func (a *cell[M]) reserveLocked(n int) int {
	a.accountLocked()
	most := int64(a.kind.system.engine.sites.limits.Messages)
	if most == 0 {
		return n
	}
	s := a.cold.site
	over := s.messages.Add(int64(n)) - most
	if over > 0 {
		over = min(over, int64(n))
		s.messages.Add(-over)
		n -= int(over)
	}
	a.cold.counted += int32(n)
	return n
}

// siteFullLocked reports whether the actor's site has no room for a message.
func (a *cell[M]) siteFullLocked() bool {
	s := a.cold.site
	if s == nil {
		return false
	}
	most := int64(a.kind.system.engine.sites.limits.Messages)
	return most > 0 && s.messages.Load() >= most
}

// overLimitAndUnlock refuses n messages that the site has no room for. An actor
// that one of them brought into memory gets a turn: it can leave only after that.
func (a *cell[M]) overLimitAndUnlock(n int) error {
	if a.status == idle && !a.started {
		a.wakeAndUnlock(nil)
	} else {
		a.mu.Unlock()
	}
	return a.refuse(ErrLimit, n)
}

// accountLocked brings the site's account in line with the mailbox.
func (a *cell[M]) accountLocked() {
	c := a.cold
	if c == nil || c.site == nil {
		return
	}
	has := a.box.Size() + a.box.ControlSize()
	c.site.messages.Add(int64(has - c.counted))
	c.counted = has
}
