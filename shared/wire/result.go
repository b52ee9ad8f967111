package wire

import "github.com/atrium-iot/atrium/shared/id"

// Result says what became of a command. The gateway sends it on every
// connection until the gate has settled it.
type Result struct {
	ID        id.Command
	State     ResultState
	Confirmed Confirm // of ResultDone; otherwise ConfirmNone
	Ago       uint64  // milliseconds from the end of the command to the sending of this message
	Text      string  // for people, at most MaxText bytes
}

// ResultState is how a command ended at its gateway.
type ResultState uint8

// The ends of a command.
const (
	ResultDone    ResultState = 1
	ResultFailed  ResultState = 2 // Text says why; what the device did is not known
	ResultRefused ResultState = 3 // nothing was touched; Text says why
	ResultUnknown ResultState = 4 // the gateway died while it executed
	ResultExpired ResultState = 5 // not begun in time: nothing was touched
)

func (s ResultState) String() string {
	return name(s, "done", ResultDone, "failed", ResultFailed, "refused", ResultRefused,
		"unknown", ResultUnknown, "expired", ResultExpired)
}

// Confirm is how the gateway knows that a command was done.
type Confirm uint8

// The ways to know, from none on.
const (
	ConfirmNone     Confirm = 0
	ConfirmRegister Confirm = 1 // a register was read back
	ConfirmSensor   Confirm = 2 // a sensor saw the effect
	ConfirmShadow   Confirm = 3 // the output was driven and cannot be read back
)

func (c Confirm) String() string {
	return name(c, "", ConfirmNone, "register", ConfirmRegister, "sensor", ConfirmSensor,
		"shadow (assumed)", ConfirmShadow)
}

const resultItems = 7

// Append writes the message. A longer Ago is written as MaxAgo, a longer Text
// is cut: a result that cannot be read would end each connection anew.
func (m *Result) Append(dst []byte) []byte {
	dst = appendStart(dst, resultItems, KindResult)
	dst = appendBytes(dst, m.ID[:])
	dst = appendUint(dst, uint64(m.State))
	dst = appendUint(dst, uint64(m.Confirmed))
	dst = appendUint(dst, min(m.Ago, MaxAgo))
	return appendText(dst, clip(m.Text))
}

// ParseResult reads what Append wrote.
func ParseResult(b []byte) (Result, error) {
	var m Result
	c := open(b, resultItems, KindResult)
	c.fixed("id", m.ID[:])
	m.State = ResultState(c.uintIn("state", uint64(ResultDone), uint64(ResultExpired)))
	m.Confirmed = Confirm(c.uintIn("confirmed", uint64(ConfirmNone), uint64(ConfirmShadow)))
	if m.Confirmed != ConfirmNone && m.State != ResultDone {
		c.fail(RejectMalformed, "confirmed", "is %s of a command that is %s", m.Confirmed, m.State)
	}
	m.Ago = c.uint("ago")
	if m.Ago > MaxAgo {
		c.fail(RejectLimit, "ago", "is %d ms, at most %d are allowed", m.Ago, uint64(MaxAgo))
	}
	m.Text = c.text("text", MaxText)
	if err := c.end(); err != nil {
		return Result{}, err
	}
	return m, nil
}
