package wire

import (
	"net"
	"strconv"
)

// Nodes names the gates of the cluster, HOST:PORT: where a gateway may dial
// when it has lost this one. It replaces what an earlier one said.
type Nodes struct {
	Addresses []string // at most MaxNodes
}

const nodesItems = 3

// Append writes the message.
func (m *Nodes) Append(dst []byte) []byte {
	dst = appendStart(dst, nodesItems, KindNodes)
	dst = appendArray(dst, len(m.Addresses))
	for _, a := range m.Addresses {
		dst = appendText(dst, a)
	}
	return dst
}

// ParseNodes reads what Append wrote.
func ParseNodes(b []byte) (Nodes, error) {
	var m Nodes
	c := open(b, nodesItems, KindNodes)
	if n := c.array("addresses", 0, MaxNodes); n > 0 {
		m.Addresses = make([]string, n)
		for i := range m.Addresses {
			m.Addresses[i] = c.address()
		}
	}
	if err := c.end(); err != nil {
		return Nodes{}, err
	}
	return m, nil
}

// CheckAddress says what is wrong with a gate's address as messages carry it.
func CheckAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return err
	case host == "" || bad != nil || n == 0:
		return &net.AddrError{Err: "want HOST:PORT", Addr: s}
	}
	return nil
}

func (c *cursor) address() string {
	s := c.text("address", MaxText)
	if c.err != nil {
		return ""
	}
	if err := CheckAddress(s); err != nil {
		c.fail(RejectMalformed, "address", "%v", err)
		return ""
	}
	return s
}
