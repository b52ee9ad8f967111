package actor

// MaxID bounds an actor's ID in bytes, so that a PID fits in a log line and in
// a frame's header: three names of 63 bytes and what joins them.
const MaxID = 255

// PID names an actor: the node that it runs on and its name there. It is
// comparable, and says nothing about whether the actor lives.
type PID struct {
	// Address is "host:port" of the node, from Config.
	Address string
	// ID is the name that the actor was spawned with, unique on its node.
	ID string
}

// String returns "address/id".
func (p PID) String() string { return p.Address + "/" + p.ID }
