package envelope

import "time"

// Limits of version 1. Bytes beyond one are refused before memory is taken for
// what they announce.
const (
	// MaxRequest bounds a request or an answer in bytes: what a NATS server
	// carries in one message unless told otherwise.
	MaxRequest = 1 << 20

	// MaxBody bounds one message, or one answer to a question, in bytes: several
	// fit in one request.
	MaxBody = 256 << 10

	// MaxBatch bounds the messages of a request. A receiver answers for all of
	// them at once, so that more would only delay the first.
	MaxBatch = 256

	// MaxName bounds an ID and the names of codecs and answers, in bytes: an
	// actor's ID is at most as long.
	MaxName = 255

	// MaxText bounds the words of a receipt in bytes: one line of a log.
	MaxText = 256

	// MaxHops bounds the nodes that one message is sent to: the one that was
	// thought to have the actor, and the one that a fresh look-up gave. An actor
	// that is at neither moves faster than it can be followed.
	MaxHops = 2

	// MaxPatience bounds how long the receiving node may take, whatever the
	// sender is ready to wait: an answer can be lost, and nobody should hold on
	// to a question for ever.
	MaxPatience = time.Minute
)

// header is the longest encoding of what surrounds the names and the body of a
// message: five lengths of at most three bytes, lane and hops.
const header = 5*3 + 2

// Size returns an upper bound of the message's encoding in bytes.
func (m *Message) Size() int {
	return header + len(m.ID) + len(m.Type) + len(m.Answer) + len(m.Body)
}

// RequestHead is an upper bound of what precedes the messages of a request.
const RequestHead = 2 + 8 + 3*10 + 2
