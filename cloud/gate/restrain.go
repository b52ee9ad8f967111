package gate

import "sync/atomic"

// Restraint is what a node that has too much to do asks of its gate.
type Restraint struct {
	// Slow gives each connection credit for one message, as if the journal were
	// far behind.
	Slow bool
	// Later is why gateways that come anew are told to come later; "" they are
	// not. It is for their logs.
	Later string
}

// restraint is the latest that was asked for; none before.
type restraint struct{ now atomic.Pointer[Restraint] }

func (r *restraint) get() Restraint {
	if now := r.now.Load(); now != nil {
		return *now
	}
	return Restraint{}
}

// Restrain takes a restraint in place of the one before. What credit a gateway
// was given stays given.
func (g *Gate) Restrain(r Restraint) { g.restraint.now.Store(&r) }

// lagOf is how far the journal is behind for a connection's site.
func (c *conn) lagOf() int64 {
	lag := c.gate.appender.LagOf(int(c.shard.Load()), c.gateway.Site)
	if c.gate.restraint.get().Slow {
		return max(lag, lagHigh)
	}
	return lag
}
