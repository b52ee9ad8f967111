package command

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Limits of a site's commands (I5).
const (
	// MaxOpen bounds the commands that have not ended: one for each device of a
	// large gateway at once. A further one is refused.
	MaxOpen = 1024
	// MaxEnded is how many ended commands are remembered, the latest ones: as
	// long as it is among them, a command that is asked for again is the same.
	MaxEnded = 1024

	// Grace is how long after its deadline a command's result is waited for: a
	// command that began in time takes at most seconds, its result a round trip.
	Grace = 10 * time.Second
)

// Status is where a command stands. The numbers are in snapshots and never
// reused.
type Status uint8

// A command is Accepted, then Sent, then one of the others. From Unanswered
// alone it goes on, when its result comes late.
const (
	Accepted   Status = 1 // its outbox record is not in the log yet: nothing was sent
	Sent       Status = 2 // it may have been sent, any number of times
	Done       Status = 3
	Failed     Status = 4 // what the device did is not known
	Refused    Status = 5 // nothing was touched
	Unknown    Status = 6 // the gateway died while it executed
	Expired    Status = 7 // it was not begun in time: nothing was touched
	Unanswered Status = 8 // no result came by Grace after the deadline
)

// String returns the status in lower case.
func (s Status) String() string {
	names := [...]string{"", "accepted", "sent", "done", "failed", "refused", "unknown", "expired", "unanswered"}
	if s == 0 || int(s) >= len(names) {
		return fmt.Sprintf("status(%d)", uint8(s))
	}
	return names[s]
}

// Ended reports whether nothing is to be done for the command any more.
func (s Status) Ended() bool { return s > Sent }

// Command is one command. Times are Unix microseconds.
type Command struct {
	_         struct{} `cbor:",toarray"`
	ID        id.Command
	Device    string // within the site
	Gateway   string // within the site; the one that the device hung on when it was asked for
	Name      string
	Args      []Arg // by name; nobody changes it
	By        string
	Issued    int64 // by the clock of the node that was asked
	Deadline  int64 // it must begin before, by the log's clock
	Status    Status
	SentAt    int64 // when its outbox record came; 0: it was never sent
	EndedAt   int64 // when the device was done, by the log's time; 0 before
	Confirmed wire.Confirm
	Text      string // why it ended so
}

// Arg is one argument: wire.Arg as snapshots hold it.
type Arg struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Kind   wire.ColumnKind // KindNumber or KindBoolean
	Number float64
}

// State is the commands of one site. The zero value has none. It is plain
// data: its CBOR is its snapshot.
type State struct {
	_     struct{}   `cbor:",toarray"`
	Open  []*Command // not ended, in the order of acceptance
	Ended []*Command // the latest MaxEnded, the oldest first

	index map[id.Command]*Command // of both, made when it is first needed
}

// Check demands of a state that was read what the rest relies on: every
// command once, and the open ones and the ended ones apart.
func (s *State) Check() error {
	seen := make(map[id.Command]bool, len(s.Open)+len(s.Ended))
	for i, c := range slices.Concat(s.Open, s.Ended) {
		switch {
		case c == nil:
			return errors.New("command: a state with an empty place")
		case seen[c.ID]:
			return fmt.Errorf("command: %s is twice in the state", c.ID)
		case c.Status.Ended() != (i >= len(s.Open)):
			return fmt.Errorf("command: %s is %s and in the wrong list", c.ID, c.Status)
		}
		seen[c.ID] = true
	}
	return nil
}

// Get returns a command as it stands.
func (s *State) Get(command id.Command) (Command, bool) {
	if c := s.find(command); c != nil {
		return *c, true
	}
	return Command{}, false
}

// List returns all commands as they stand: those that have not ended in the
// order of their acceptance, then the others, the latest one first.
func (s *State) List() []Command {
	all := make([]Command, 0, len(s.Open)+len(s.Ended))
	for _, c := range s.Open {
		all = append(all, *c)
	}
	for _, c := range slices.Backward(s.Ended) {
		all = append(all, *c)
	}
	return all
}

// Pending returns what a new owner must do: publish the outbox records of
// outbox, and send the commands of send. Both in the order of acceptance.
func (s *State) Pending() (outbox, send []id.Command) {
	for _, c := range s.Open {
		if c.Status == Accepted {
			outbox = append(outbox, c.ID)
		} else {
			send = append(send, c.ID)
		}
	}
	return outbox, send
}

// Due returns when a tick would end a command, or 0 if none would.
func (s *State) Due() (at int64) {
	for _, c := range s.Open {
		if due := c.due(); at == 0 || due < at {
			at = due
		}
	}
	return at
}

// due is when waiting for an open command ends.
func (c *Command) due() int64 {
	if c.Status == Accepted {
		return c.Deadline
	}
	return c.Deadline + Grace.Microseconds()
}

// Wire returns the message of a command that may be sent now, and the gateway
// for it. It is false for one that must not: its outbox record has not come,
// it has ended, or less than a millisecond remains.
func (s *State) Wire(command id.Command, site id.Site, now int64) (gateway string, m wire.Command, ok bool) {
	c := s.find(command)
	if c == nil || c.Status != Sent || c.Deadline <= now {
		return "", wire.Command{}, false
	}
	remaining := uint64(c.Deadline-now) / 1000
	if remaining == 0 {
		return "", wire.Command{}, false
	}
	m = wire.Command{
		ID: c.ID, Device: id.Device{Site: site, Name: c.Device}, Name: c.Name,
		Remaining: min(remaining, wire.MaxRemaining),
	}
	for _, a := range c.Args {
		m.Args = append(m.Args, wire.Arg{Name: a.Name, Value: wire.Value{Kind: a.Kind, Number: a.Number}})
	}
	return c.Gateway, m, true
}

func (s *State) find(command id.Command) *Command {
	if s.index == nil {
		s.index = make(map[id.Command]*Command)
		for _, c := range slices.Concat(s.Open, s.Ended) {
			s.index[c.ID] = c
		}
	}
	return s.index[command]
}
