package gate

import (
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// write sends what the session has to say. Durable frames are gathered for
// ackDelay; anything else goes at once.
func (c *conn) write() error {
	urgent, err := c.advance()
	if err != nil {
		return err
	}
	if !urgent {
		select {
		case <-time.After(ackDelay):
		case <-c.over.Context().Done():
			return nil
		}
		if _, err := c.advance(); err != nil {
			return err
		}
	}
	if err := c.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("gate: write control stream: %w", err)
	}
	// A buffer of its own: a connection keeps no memory of a long write (I5).
	buf, commands := c.collect()
	if len(buf) == 0 {
		return nil
	}
	if _, err := c.control.Write(buf); err != nil {
		c.gate.metrics.commands.lost.Add(float64(commands.sent))
		return closef(wire.CloseProtocol, "the control stream takes no acks: %v", err)
	}
	c.gate.metrics.commands.sent.Add(float64(commands.sent))
	return nil
}

// advance tells the session what has become durable. It reports whether there
// is something to send at once.
func (c *conn) advance() (urgent bool, err error) {
	c.doneMu.Lock()
	done, fault := c.done, c.fault
	c.done = nil
	c.doneMu.Unlock()
	if fault != nil {
		return false, closef(wire.CloseInternal, "the journal failed: %v", fault)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ticket := range done {
		c.session.durable(ticket)
	}
	if c.session.phase == open {
		c.session.credit(c.lagOf())
	}
	return c.session.out.urgent() || c.session.out.empty(), nil
}

// collect takes the outbox as bytes of the control stream.
func (c *conn) collect() (buf []byte, commands taken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	buf, commands = c.session.take(wire.Welcome{
		Cluster: c.gate.cfg.Cluster,
		Node:    c.gate.cfg.Node,
	}, time.Now())
	c.gate.metrics.commands.expired.Add(float64(commands.expired))
	return buf, commands
}
