package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// askAgain is how long somebody waits who got no answer to a command.
	askAgain = 300 * time.Millisecond
	// askTime is the longest wait for an answer.
	askTime = 2 * time.Second
	// maxSpan is the longest time that a command is given.
	maxSpan = 6 * time.Second
)

// Which is what an order asks for.
type Which int

// What orders ask for. The last ones are refused: by the site, which does not
// know the device, and by the gateway, whose device does not know the command
// or the number.
const (
	Stamp Which = iota
	Dial
	Relay
	NoDevice
	NoCommand
	NoNumber
	whichs
)

// intentOf makes what an order says. Its id is a function of the plan.
func (s *Sim) intentOf(e Event) journal.Intent {
	g := s.gateways[e.Gateway]
	now := time.Now()
	in := journal.Intent{Name: "press", Args: number(e.Number), Issued: now.UnixMicro(), Deadline: now.Add(e.For).UnixMicro(), By: "sim"}
	binary.BigEndian.PutUint64(in.ID[:], s.plan.Seed)
	binary.BigEndian.PutUint64(in.ID[8:], uint64(e.Number))
	in.Device = g.board.panel.actuators[min(e.N, actuators-1)].device.Name
	switch Which(e.N) {
	case Stamp, Dial:
	case Relay:
		in.Name = "set"
		in.Args = []wire.Arg{{Name: "on", Value: wire.Value{Kind: wire.KindBoolean, Number: float64(e.Number % 2)}}}
	case NoDevice:
		in.Device = "nobody"
	case NoCommand:
		in.Name = "explode"
	case NoNumber:
		in.Device, in.Args = g.board.panel.actuators[stampDevice].device.Name, number(maxNumber+e.Number)
	}
	return in
}

func number(n int) []wire.Arg {
	return []wire.Arg{{Name: "n", Value: wire.Value{Kind: wire.KindNumber, Number: float64(n)}}}
}

// order asks for a command until somebody has taken it or its time is over, and
// perhaps later once more, with another number: the same id is the same
// command.
func (s *Sim) order(ctx context.Context, e Event) {
	name, in := s.gateways[e.Gateway].name.Site, s.intentOf(e)
	if !s.ask(ctx, name, in, e.Number) || !e.After {
		return
	}
	select {
	case <-time.After(e.For / 2):
	case <-s.healed:
	}
	if Which(e.N) == Stamp || Which(e.N) == Dial {
		in.Args = number((e.Number + maxNumber/2) % (maxNumber + 1))
	}
	s.ask(ctx, name, in, e.Number+1)
}

// ask reports whether a node took the command. It asks one node after the
// other, also one that does not know that it was deposed.
func (s *Sim) ask(ctx context.Context, name id.Site, in journal.Intent, slot int) bool {
	for ; time.Now().UnixMicro() < in.Deadline; slot++ {
		asking, cancel := context.WithTimeout(ctx, askTime)
		got, err := s.cloud.intend(asking, slot%s.cloud.slots(), name, in)
		cancel()
		if err == nil {
			if got.ID != in.ID {
				s.trace.complain("I6", "command %s was asked for, the answer is about %s", in.ID, got.ID)
			}
			s.trace.event("command %s to %s/%s is taken: %s", in.ID, name, in.Device, got.Status)
			s.tap.promise(in.ID)
			return true
		}
		s.trace.event("command %s to %s/%s is not taken: %v", in.ID, name, in.Device, err)
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return false
		}
	}
	return false
}

var errNoNode = errors.New("no node serves there")

// intend asks the node of a slot.
func (c *cloud) intend(ctx context.Context, slot int, name id.Site, in journal.Intent) (site.Command, error) {
	c.mu.Lock()
	n := c.nodes[slot]
	c.mu.Unlock()
	if n == nil || !n.serves() {
		return site.Command{}, errNoNode
	}
	s, err := c.near(ctx, n, name)
	if err != nil {
		return site.Command{}, err
	}
	if c.sabotage.Eager {
		gw, _, _ := strings.Cut(in.Device, "-") // as addGateway and newPanel name them
		m := wire.Command{ID: in.ID, Device: id.Device{Site: name, Name: in.Device}, Name: in.Name, Remaining: 1000, Args: in.Args}
		if err := n.gate.Command(id.Gateway{Site: name, Name: gw}, m); err != nil {
			return site.Command{}, err
		}
	}
	return s.Intend(ctx, name, in)
}
