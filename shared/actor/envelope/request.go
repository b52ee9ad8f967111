package envelope

import (
	"encoding/binary"
	"fmt"
	"time"
)

const version = 1

// Mode says what the sender of a request waits for.
type Mode uint8

const (
	// Tell: that the messages are in the mailboxes that have room. Requests of
	// this mode come in the order of their Seq; a late one is refused.
	Tell Mode = iota
	// Wait: that the one message is in its mailbox.
	Wait
	// Ask: the answer to the one message.
	Ask
	modes
)

// Request is a set of messages for actors of one node.
type Request struct {
	Mode Mode
	// Line names the sender and this sequence of its requests. It is random.
	Line uint64
	// Seq counts the requests of a line from 1. It may have gaps.
	Seq uint64
	// Settled is the Seq of the last request of mode Tell that has ended, for the
	// sender: should it arrive later, it would be out of order.
	Settled uint64
	// Patience is how long the sender waits from now on, in milliseconds.
	Patience uint64
	// Messages are 1 to MaxBatch; in modes other than Tell one.
	Messages []Message
}

// Message is one message on its way to an actor.
type Message struct {
	ID     string // of the actor
	Type   string // the codec that made Body
	Answer string // how the answer travels; "" when none is waited for
	Lane   uint8
	Hops   uint8 // nodes that the message was sent to, this one included
	Body   []byte
}

// Milliseconds is d as a Request's Patience, at least one and at most
// MaxPatience.
func Milliseconds(d time.Duration) uint64 {
	return uint64(max(1, min(d, MaxPatience).Milliseconds()))
}

// Append appends the request to dst.
func (r *Request) Append(dst []byte) []byte {
	dst = append(dst, version, byte(r.Mode))
	dst = binary.BigEndian.AppendUint64(dst, r.Line)
	dst = binary.AppendUvarint(dst, r.Seq)
	dst = binary.AppendUvarint(dst, r.Settled)
	dst = binary.AppendUvarint(dst, r.Patience)
	dst = binary.AppendUvarint(dst, uint64(len(r.Messages)))
	for i := range r.Messages {
		m := &r.Messages[i]
		dst = appendText(dst, m.ID)
		dst = appendText(dst, m.Type)
		dst = appendText(dst, m.Answer)
		dst = append(dst, m.Lane, m.Hops)
		dst = appendText(dst, m.Body)
	}
	return dst
}

// ParseRequest parses what Append appended. Bodies lie in b.
func ParseRequest(b []byte) (*Request, error) {
	p := parser{rest: b}
	r := &Request{}
	p.version(b)
	r.Mode = Mode(p.byteBelow("mode", byte(modes)))
	r.Line = p.word("line")
	r.Seq = p.uint("seq")
	r.Settled = p.uint("settled")
	r.Patience = p.uint("patience")
	n := p.uint("messages")
	switch {
	case p.err != nil:
	case r.Seq == 0:
		p.fail("seq: want at least 1, got 0")
	case r.Settled >= r.Seq:
		p.fail("settled: want less than seq %d, got %d", r.Seq, r.Settled)
	case r.Patience > uint64(MaxPatience.Milliseconds()):
		p.fail("patience: want at most %d ms, got %d", MaxPatience.Milliseconds(), r.Patience)
	case n == 0 || n > MaxBatch || n > 1 && r.Mode != Tell:
		p.fail("messages: %d are not allowed in mode %d", n, r.Mode)
	}
	for i := 0; p.err == nil && uint64(i) < n; i++ {
		r.Messages = append(r.Messages, p.message())
		p.where(i)
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("envelope: request: %w", err)
	}
	return r, nil
}

func (p *parser) message() (m Message) {
	m.ID = string(p.bytes("id", MaxName))
	m.Type = string(p.bytes("type", MaxName))
	m.Answer = string(p.bytes("answer", MaxName))
	m.Lane = p.byteBelow("lane", 4)
	m.Hops = p.byteBelow("hops", MaxHops+1)
	m.Body = p.bytes("body", MaxBody)
	if p.err == nil && (m.ID == "" || m.Hops == 0) {
		p.fail("id and hops: want both, got %q and %d", m.ID, m.Hops)
	}
	return m
}
