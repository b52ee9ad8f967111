package uplink

import (
	"context"
	"fmt"
	"sync"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// results are the results that a connection has sent and the gate has not
// settled.
type results struct {
	mu   sync.Mutex
	sent map[id.Command]struct{}
}

// next returns the results that may be sent now: not sent yet on this
// connection, and not more than the protocol allows without a settled. They
// count as sent.
func (r *results) next(commands Commands) []wire.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []wire.Result
	for _, result := range commands.Unsettled() {
		if _, sent := r.sent[result.ID]; sent {
			continue
		}
		if len(r.sent) >= wire.MaxSettled {
			break
		}
		r.sent[result.ID] = struct{}{}
		out = append(out, result)
	}
	return out
}

// settle passes on those that were sent, and returns how many others there
// were. It is one step with next: what is settled is not sent again, unless its
// command comes again.
func (r *results) settle(commands Commands, ids []id.Command) (stray int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var known []id.Command
	for _, c := range ids {
		if _, sent := r.sent[c]; sent {
			delete(r.sent, c)
			known = append(known, c)
		}
	}
	if len(known) > 0 {
		commands.Settled(known)
	}
	return len(ids) - len(known)
}

// writeResults sends the results that are not settled, and new ones as they
// come.
func (c *connection) writeResults(ctx context.Context) error {
	commands := c.u.cfg.Commands
	if commands == nil {
		return nil
	}
	for {
		changed := commands.Changed() // before the look, so that nothing is missed
		for _, r := range c.results.next(commands) {
			if err := c.say(r.Append(nil)); err != nil {
				return fmt.Errorf("result: %w", err)
			}
			c.u.metrics.results.Inc()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// say writes a message to the control stream, whole.
func (c *connection) say(msg []byte) error {
	c.saying.Lock()
	defer c.saying.Unlock()
	_, err := c.control.Write(wire.AppendItem(nil, msg))
	return err
}

func (c *connection) command(m wire.Command) {
	c.u.metrics.commands.Inc()
	if c.u.cfg.Commands != nil {
		c.u.cfg.Commands.Take(m)
	}
}

func (c *connection) settled(ids []id.Command) {
	c.u.metrics.straySettled.Add(float64(c.results.settle(c.u.cfg.Commands, ids)))
}
