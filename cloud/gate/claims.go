package gate

import (
	"container/list"
	"sync"

	"github.com/atrium-iot/atrium/shared/id"
)

// claims remembers which gateway a run was seen from, the latest of them: a
// run whose frames came from two gateways would have two meanings. It is
// bounded; who is forgotten may be claimed anew.
type claims struct {
	limit int

	mu     sync.Mutex
	byRun  map[id.Run]*list.Element
	recent list.List // of claim, the latest in front
}

type claim struct {
	run     id.Run
	gateway id.Gateway
}

func newClaims(limit int) *claims {
	return &claims{limit: limit, byRun: make(map[id.Run]*list.Element)}
}

// take reports whether run is gw's: it was seen from it before, or from no one.
func (c *claims) take(run id.Run, gw id.Gateway) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byRun[run]; ok {
		c.recent.MoveToFront(e)
		return e.Value.(claim).gateway == gw
	}
	if len(c.byRun) == c.limit {
		oldest := c.recent.Back()
		delete(c.byRun, oldest.Value.(claim).run)
		c.recent.Remove(oldest)
	}
	c.byRun[run] = c.recent.PushFront(claim{run, gw})
	return true
}
