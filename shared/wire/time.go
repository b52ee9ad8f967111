package wire

// Time tells a gateway the time once more, every TimeEvery after its welcome:
// without a time server of its own its clock drifts.
type Time struct {
	Now uint64 // Unix milliseconds
}

const timeItems = 3

// Append writes the message.
func (m *Time) Append(dst []byte) []byte {
	return appendUint(appendStart(dst, timeItems, KindTime), m.Now)
}

// ParseTime reads what Append wrote.
func ParseTime(b []byte) (Time, error) {
	c := open(b, timeItems, KindTime)
	m := Time{c.uint("now")}
	if err := c.end(); err != nil {
		return Time{}, err
	}
	return m, nil
}
