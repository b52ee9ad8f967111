package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var (
	// ErrNotConnected says that the gateway has no connection here that is past
	// its welcome.
	ErrNotConnected = errors.New("the gateway is not connected")
	// ErrBusy says that the gateway does not read: as many commands as the gate
	// holds for it wait to be written.
	ErrBusy = errors.New("the gateway's queue of commands is full")
)

// Command queues a command for the newest connection of a gateway; it waits
// for neither the network nor the gateway. Nil means queued, not delivered:
// the queue is lost with the connection, and a command that could no longer
// begin is not sent. The caller sends again until it has a result; a command
// that is still queued is not queued twice.
//
// ErrNotConnected and ErrBusy mean: later. Any other error is a command that
// no gateway would take.
func (g *Gate) Command(gw id.Gateway, m wire.Command) error {
	// Parsed, it is a copy of the caller's and nothing that would end the
	// gateway's connection.
	m, err := wire.ParseCommand(m.Append(nil))
	if err != nil {
		return fmt.Errorf("gate: command: %w", err)
	}
	if m.Device.Site != gw.Site {
		return fmt.Errorf("gate: command: device %s is not of the gateway's site %s", m.Device, gw.Site)
	}
	g.mu.Lock()
	c := g.current[gw]
	g.mu.Unlock()
	err = ErrNotConnected
	if c != nil {
		err = c.command(m)
	}
	switch {
	case errors.Is(err, ErrNotConnected):
		g.metrics.commands.notConnected.Inc()
	case errors.Is(err, ErrBusy):
		g.metrics.commands.busy.Inc()
	}
	return err
}

func (c *conn) command(m wire.Command) error {
	c.mu.Lock()
	err := c.session.command(m, time.Now())
	c.mu.Unlock()
	if err == nil {
		c.writer.call()
	}
	return err
}

// order is a command that waits to be written.
type order struct {
	wire.Command
	until time.Time // it must begin before
}

// command takes a command for the gateway into the outbox. After welcome only:
// nothing may be ahead of that.
func (s *session) command(m wire.Command, now time.Time) error {
	if s.phase != open {
		return ErrNotConnected
	}
	if slices.ContainsFunc(s.out.orders, func(o order) bool { return o.ID == m.ID }) {
		return nil
	}
	if len(s.out.orders) == maxOrders {
		return ErrBusy
	}
	until := now.Add(time.Duration(m.Remaining) * time.Millisecond)
	s.out.orders = append(s.out.orders, order{m, until})
	return nil
}

// takeResult takes a gateway's result. What is settled, but not yet on its way
// to the gateway, counts as unsettled: the gateway cannot know.
func (s *session) takeResult(msg []byte) (verdict, error) {
	m, err := wire.ParseResult(msg)
	if err != nil {
		return verdict{}, badMessage(wire.KindResult, err)
	}
	if len(s.results)+len(s.out.settled) == wire.MaxSettled {
		return verdict{}, closef(wire.CloseProtocol, "result: more than %d are not settled", wire.MaxSettled)
	}
	s.results = append(s.results, m.ID)
	return s.push(wire.KindResult, pending{result: true}), nil
}

// settleResult settles the earliest result: it is durable, with all that came
// before it.
func (s *session) settleResult() {
	s.out.settled = append(s.out.settled, s.results[0])
	s.results = s.results[1:]
}

// end ends the session and returns how many commands it leaves unwritten.
func (s *session) end() (lost int) {
	lost = len(s.out.orders)
	s.phase, s.out = over, outbox{}
	return lost
}
