package wire

// Credit is how many bytes of lane messages the gateway may have sent in all
// on this connection, the items' heads not counted. It never falls.
type Credit struct {
	Total uint64
}

const creditItems = 3

// Append writes the message.
func (m *Credit) Append(dst []byte) []byte {
	return appendUint(appendStart(dst, creditItems, KindCredit), m.Total)
}

// ParseCredit reads what Append wrote.
func ParseCredit(b []byte) (Credit, error) {
	c := open(b, creditItems, KindCredit)
	m := Credit{c.uint("total")}
	if err := c.end(); err != nil {
		return Credit{}, err
	}
	return m, nil
}
