package node

import (
	"errors"
	"fmt"

	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// commands is the bus's subject for commands to gateways that are connected to
// another node than their site's owner.
const commands = "commands"

// sender hands the owners' commands to the gate that the gateway is connected
// to. Its gateway takes a command once, whoever brings it.
type sender struct{ n *node }

func (s sender) Command(gw id.Gateway, c wire.Command) error {
	err := s.n.gate.Command(gw, c)
	if s.n.cfg.Cluster == nil || !errors.Is(err, gate.ErrNotConnected) {
		return err
	}
	return s.n.bus.Publish(commands, appendPassed(nil, gw, c))
}

// appendPassed writes a command for another node: the gateway's name, a zero,
// and the command as the gateway gets it.
func appendPassed(dst []byte, gw id.Gateway, c wire.Command) []byte {
	return c.Append(append(append(dst, gw.String()...), 0))
}

func parsePassed(b []byte) (id.Gateway, wire.Command, error) {
	for i, c := range b {
		if c != 0 {
			continue
		}
		gw, err := id.ParseGateway(string(b[:i]))
		if err != nil {
			return id.Gateway{}, wire.Command{}, err
		}
		m, err := wire.ParseCommand(b[i+1:])
		return gw, m, err
	}
	return id.Gateway{}, wire.Command{}, errors.New("a command without a gateway")
}

// passCommands gives commands of other nodes to gateways that are here.
func (n *node) passCommands() error {
	_, err := n.bus.Subscribe(commands, func(m journal.BusMessage) {
		gw, c, err := parsePassed(m.Data)
		if err == nil {
			err = n.gate.Command(gw, c)
		}
		if err != nil && !errors.Is(err, gate.ErrNotConnected) {
			n.log.Warn("a command of another node was not passed on", "gateway", gw, "err", err)
		}
	})
	if err != nil {
		return fmt.Errorf("commands of other nodes: %w", err)
	}
	return nil
}
