package envelope

import (
	"encoding/binary"
	"fmt"
)

// Outcome is what became of a message at the node that it was sent to.
type Outcome uint8

const (
	// Accepted: it is in the mailbox; a question was answered.
	Accepted Outcome = iota
	// Stale: the node does not have the actor.
	Stale
	// Full: the mailbox had no room.
	Full
	// Stopped: the actor has been told to stop, or ended before it answered.
	Stopped
	// Closed: the actor takes no messages from other nodes.
	Closed
	// UnknownType: the actor's codec has another name, or no such answer.
	UnknownType
	// BadBody: the codec could not parse the message, or encode the answer.
	BadBody
	// Repeated: the request came before, or later than a younger one.
	Repeated
	// Expired: the sender's patience ended first.
	Expired
	// Malformed: the request could not be parsed.
	Malformed
	// Refused: the actor or its system refused for another reason.
	Refused
	// Outcomes is how many there are.
	Outcomes
)

// String names the outcome as metrics do.
func (o Outcome) String() string {
	if o >= Outcomes {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return [Outcomes]string{
		"accepted", "stale", "full", "stopped", "closed", "unknown_type", "bad_body", "repeated", "expired", "malformed", "refused",
	}[o]
}

// Receipt says what became of one message.
type Receipt struct {
	Outcome Outcome
	// Text explains the outcome where its name does not, in up to MaxText bytes.
	Text string
	// Body is the answer to a question.
	Body []byte
}

// AppendAnswer appends the receipts of a request: one for each of its messages
// in their order, or one that stands for all. Longer texts are cut.
func AppendAnswer(dst []byte, receipts []Receipt) []byte {
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(len(receipts)))
	for i := range receipts {
		r := &receipts[i]
		dst = append(dst, byte(r.Outcome))
		dst = appendText(dst, r.Text[:min(len(r.Text), MaxText)])
		dst = appendText(dst, r.Body)
	}
	return dst
}

// ParseAnswer parses the receipts for n messages, 1 to MaxBatch. Bodies lie in b.
func ParseAnswer(b []byte, n int) ([]Receipt, error) {
	p := parser{rest: b}
	p.version(b)
	have := p.uint("receipts")
	if p.err == nil && have != 1 && have != uint64(n) {
		p.fail("receipts: want 1 or %d, got %d", n, have)
	}
	var all []Receipt
	for i := 0; p.err == nil && uint64(i) < have; i++ {
		all = append(all, Receipt{
			Outcome: Outcome(p.byteBelow("outcome", byte(Outcomes))),
			Text:    string(p.bytes("text", MaxText)),
			Body:    p.bytes("body", MaxBody),
		})
		p.where(i)
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("envelope: answer: %w", err)
	}
	for len(all) < n {
		all = append(all, all[0])
	}
	return all, nil
}
