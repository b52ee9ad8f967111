package wire

// Welcome answers hello and bind once they are in the journal.
type Welcome struct {
	Version uint64 // the version that the gate chose, within hello's range
	Cluster string // the cluster's id
	Node    string // the gate's node
	Now     uint64 // Unix milliseconds
	Credit  uint64 // as Credit.Total
}

const welcomeItems = 7

// Append writes the message.
func (m *Welcome) Append(dst []byte) []byte {
	dst = appendStart(dst, welcomeItems, KindWelcome)
	dst = appendUint(dst, m.Version)
	dst = appendText(dst, m.Cluster)
	dst = appendText(dst, m.Node)
	dst = appendUint(dst, m.Now)
	return appendUint(dst, m.Credit)
}

// ParseWelcome reads what Append wrote.
func ParseWelcome(b []byte) (Welcome, error) {
	var m Welcome
	c := open(b, welcomeItems, KindWelcome)
	m.Version = c.uintIn("version", 1, maxUint64)
	m.Cluster = c.text("cluster", MaxText)
	m.Node = c.text("node", MaxText)
	m.Now = c.uint("now")
	m.Credit = c.uint("credit")
	if err := c.end(); err != nil {
		return Welcome{}, err
	}
	return m, nil
}
