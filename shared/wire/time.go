package wire

// AskTime asks a gate for the time, after welcome and every TimeEvery: without
// a time server of its own a gateway's clock drifts. The gate's answer was made
// between the question and its arrival, which bounds how far off it is,
// whatever the network did (Cristian, "Probabilistic clock synchronization",
// Distributed Computing 3, 1989).
type AskTime struct {
	Question uint64 // which; the gate only repeats it
}

const askTimeItems = 3

// Append writes the message.
func (m *AskTime) Append(dst []byte) []byte {
	return appendUint(appendStart(dst, askTimeItems, KindAskTime), m.Question)
}

// ParseAskTime reads what Append wrote.
func ParseAskTime(b []byte) (AskTime, error) {
	c := open(b, askTimeItems, KindAskTime)
	m := AskTime{c.uint("question")}
	if err := c.end(); err != nil {
		return AskTime{}, err
	}
	return m, nil
}

// Time answers an AskTime.
type Time struct {
	Question uint64
	Now      uint64 // Unix milliseconds
}

const timeItems = 4

// Append writes the message.
func (m *Time) Append(dst []byte) []byte {
	return appendUint(appendUint(appendStart(dst, timeItems, KindTime), m.Question), m.Now)
}

// ParseTime reads what Append wrote.
func ParseTime(b []byte) (Time, error) {
	c := open(b, timeItems, KindTime)
	m := Time{c.uint("question"), c.uint("now")}
	if err := c.end(); err != nil {
		return Time{}, err
	}
	return m, nil
}
