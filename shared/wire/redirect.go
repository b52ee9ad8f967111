package wire

// Redirect tells a gateway that another gate serves its site better. The
// gateway dials it, and keeps this connection until the other welcomes it.
type Redirect struct {
	Address string // HOST:PORT
	Reason  RedirectReason
}

// RedirectReason says why a gateway should go to another gate.
type RedirectReason uint8

// The reasons of redirect messages.
const (
	RedirectOwner RedirectReason = 1 // the owner of the site's shard is there
)

func (r RedirectReason) String() string {
	return name(r, "owner", RedirectOwner)
}

const redirectItems = 4

// Append writes the message.
func (m *Redirect) Append(dst []byte) []byte {
	dst = appendText(appendStart(dst, redirectItems, KindRedirect), m.Address)
	return appendUint(dst, uint64(m.Reason))
}

// ParseRedirect reads what Append wrote.
func ParseRedirect(b []byte) (Redirect, error) {
	c := open(b, redirectItems, KindRedirect)
	m := Redirect{Address: c.address()}
	m.Reason = RedirectReason(c.uintIn("reason", uint64(RedirectOwner), uint64(RedirectOwner)))
	if err := c.end(); err != nil {
		return Redirect{}, err
	}
	return m, nil
}
