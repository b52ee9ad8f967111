package command

import (
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// InputKind tells inputs apart.
type InputKind uint8

// The inputs of Step.
const (
	// Intended begins a command: Intent, and the Gateway that its device hangs
	// on, "" if there is no such device or it hangs on none.
	Intended InputKind = iota + 1
	// Opened says that the outbox record of ID is in the log.
	Opened
	// Answered brings the Result that Gateway sent.
	Answered
	// Tick asks which commands were waited for long enough.
	Tick
)

// Input is one message.
type Input struct {
	Kind    InputKind
	Intent  journal.Intent
	Gateway string
	ID      id.Command
	Result  wire.Result
}

// Output is what a step did, and what it asks of the owner. All of it is also
// in the state, so that an output that is lost loses nothing.
type Output struct {
	Outbox  []id.Command // publish their outbox records
	Send    []id.Command // send them, and again until they have ended
	Ended   []id.Command // ended now, or ended otherwise than before
	Problem string       // why the record has no effect, for its dead letter
}

// Step applies one input. now is the site's time in Unix microseconds, which
// never falls.
func (s *State) Step(now int64, in Input) Output {
	switch in.Kind {
	case Intended:
		return s.intended(now, in)
	case Opened:
		return s.opened(now, in.ID)
	case Answered:
		return s.answered(now, in)
	case Tick:
		return s.tick(now)
	}
	return Output{}
}

// intended accepts a command or ends it at once. A known one is the same one.
// The deadline is by the clock of the node that was asked, now by the log's: if
// the first is ahead, the command still gets no more time than it was given.
func (s *State) intended(now int64, in Input) Output {
	m := &in.Intent
	if s.find(m.ID) != nil {
		return Output{}
	}
	c := &Command{
		ID: m.ID, Device: m.Device, Gateway: in.Gateway, Name: m.Name, By: m.By,
		Issued: m.Issued, Deadline: min(m.Deadline, now+m.Deadline-m.Issued), Status: Accepted,
	}
	for _, a := range m.Args {
		c.Args = append(c.Args, Arg{Name: a.Name, Kind: a.Value.Kind, Number: a.Value.Number})
	}
	s.index[c.ID] = c
	switch {
	case in.Gateway == "":
		return s.end(c, Refused, now, fmt.Sprintf("device %s is not there or hangs on no gateway", c.Device))
	case c.Deadline <= now:
		late := time.Duration(now-c.Deadline) * time.Microsecond
		return s.end(c, Expired, now, fmt.Sprintf("it came into the log %v after its deadline: the node that was asked was slow, or its clock is behind", late))
	case len(s.Open) >= MaxOpen:
		return s.end(c, Refused, now, fmt.Sprintf("too many: the site has %d commands that have not ended", MaxOpen))
	}
	s.Open = append(s.Open, c)
	return Output{Outbox: []id.Command{c.ID}}
}

// opened lets a command be sent. A second outbox record, of an owner that did
// not know of the first one, changes nothing.
func (s *State) opened(now int64, command id.Command) Output {
	c := s.find(command)
	if c == nil || c.Status != Accepted {
		return Output{}
	}
	if c.Deadline <= now {
		return s.end(c, Expired, now, neverSent)
	}
	c.Status, c.SentAt = Sent, now
	return Output{Send: []id.Command{c.ID}}
}

const neverSent = "it was not sent in time"

// answered takes a gateway's word, once. Gateways say it again until they are
// told that it was heard.
func (s *State) answered(now int64, in Input) Output {
	r := &in.Result
	c := s.find(r.ID)
	if c == nil {
		return Output{Problem: fmt.Sprintf("result of command %s, which the site does not know (any more)", r.ID)}
	}
	status := statusOf(r.State)
	switch {
	case c.SentAt == 0:
		return Output{Problem: fmt.Sprintf("result of command %s, which was never sent", r.ID)}
	case c.Gateway != in.Gateway:
		return Output{Problem: fmt.Sprintf("result of command %s from gateway %s, it was sent to %s", r.ID, in.Gateway, c.Gateway)}
	case status == 0:
		return Output{Problem: fmt.Sprintf("result of command %s with state %s", r.ID, r.State)}
	case c.Status.Ended() && c.Status != Unanswered:
		if c.Status == status && c.Confirmed == r.Confirmed && c.Text == r.Text {
			return Output{}
		}
		return Output{Problem: fmt.Sprintf("result of command %s says %s, it has ended as %s", r.ID, r.State, c.Status)}
	}
	ago := time.Duration(min(r.Ago, wire.MaxAgo)) * time.Millisecond
	c.Confirmed = r.Confirmed
	return s.end(c, status, max(now-ago.Microseconds(), c.SentAt), r.Text)
}

// statusOf returns 0 for a state that this version does not know.
func statusOf(r wire.ResultState) Status {
	switch r {
	case wire.ResultDone:
		return Done
	case wire.ResultFailed:
		return Failed
	case wire.ResultRefused:
		return Refused
	case wire.ResultUnknown:
		return Unknown
	case wire.ResultExpired:
		return Expired
	}
	return 0
}

func (s *State) tick(now int64) (out Output) {
	for _, c := range slices.Clone(s.Open) {
		if c.due() > now {
			continue
		}
		status, text := Expired, neverSent
		if c.Status == Sent {
			status, text = Unanswered, "no result came in time; a late one still counts"
		}
		out.Ended = append(out.Ended, s.end(c, status, now, text).Ended...)
	}
	return out
}

// end moves a command to the ended ones, or changes how it ended. Beyond
// MaxEnded the oldest is forgotten.
func (s *State) end(c *Command, status Status, at int64, text string) Output {
	before := c.Status
	c.Status, c.EndedAt, c.Text = status, at, text
	if !before.Ended() {
		if i := slices.Index(s.Open, c); i >= 0 {
			s.Open = slices.Delete(s.Open, i, i+1)
		}
		s.Ended = append(s.Ended, c)
		if over := len(s.Ended) - MaxEnded; over > 0 {
			for _, old := range s.Ended[:over] {
				delete(s.index, old.ID)
			}
			s.Ended = slices.Delete(s.Ended, 0, over)
		}
	}
	return Output{Ended: []id.Command{c.ID}}
}
