package actor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// ErrCodec: a message or an answer can't travel: its codec refused it, or the
// codecs of the two nodes do not fit. The error's text says which and why.
var ErrCodec = errors.New("actor: codec")

// Codec says how messages of type M travel between nodes. An actor whose props
// have one is open to other nodes; a Ref from RefAt has the same. Make it once
// and share it. Its functions are called by many goroutines.
type Codec[M any] struct {
	// Name names the encoding in both nodes' programs: "room.Command/1". A
	// message made under another name is refused.
	Name string
	// Append appends the encoding of msg to dst. A Reply in msg is not part of
	// it.
	Append func(dst []byte, msg M) ([]byte, error)
	// Parse is given bytes from another node: bad ones give an error. They are
	// not the message's to keep.
	Parse func(body []byte) (M, error)
	// Answers are what questions among the messages may be answered with.
	Answers []Answer[M]
}

// Answer says how the answers of one type travel; AnswerOf makes it.
type Answer[M any] struct {
	name  string
	of    reflect.Type
	way   any // *way[R, M]
	serve func(ctx context.Context, to Ref[M], msg M) ([]byte, error)
}

// way is how answers of type R come back from another node.
type way[R, M any] struct {
	name  string
	parse func(body []byte) (R, error)
}

// read parses an answer. The codec is the program's own, but what it is given is
// not: its panic is an error.
func (w *way[R, M]) read(body []byte) (answer R, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: answer %q: the codec panicked: %v", ErrCodec, w.name, v)
		}
	}()
	if answer, err = w.parse(body); err != nil {
		err = fmt.Errorf("%w: answer %q: %w", ErrCodec, w.name, err)
	}
	return answer, err
}

// AnswerOf makes an Answer for Ask[R, M]. The name is unique in its codec.
// Where the actor lives, attach puts the way back to the asker into a question
// that was parsed, and reports false when that message asks for no R; add
// appends what the actor then answers; parse reads it where the asker is.
func AnswerOf[R, M any](
	name string,
	attach func(msg *M, to Reply[R]) bool,
	add func(dst []byte, answer R) ([]byte, error),
	parse func(body []byte) (R, error),
) Answer[M] {
	serve := func(ctx context.Context, to Ref[M], msg M) ([]byte, error) {
		if !attach(&msg, Reply[R]{}) {
			return nil, fmt.Errorf("%w: the message asks for no answer %q", ErrCodec, name)
		}
		answer, err := Ask(ctx, to, func(r Reply[R]) M {
			attach(&msg, r)
			return msg
		})
		if err != nil {
			return nil, err
		}
		body, err := add(nil, answer)
		if err != nil {
			return nil, fmt.Errorf("%w: answer %q: %w", ErrCodec, name, err)
		}
		return body, nil
	}
	return Answer[M]{name: name, of: reflect.TypeFor[R](), way: &way[R, M]{name, parse}, serve: serve}
}

// Check names what the codec lacks.
func (c *Codec[M]) Check() error {
	switch {
	case c == nil:
		return errors.New("Codec: want one, got nil")
	case c.Name == "" || len(c.Name) > MaxID:
		return fmt.Errorf("Codec.Name: want 1 to %d bytes, got %d", MaxID, len(c.Name))
	case c.Append == nil || c.Parse == nil:
		return fmt.Errorf("Codec %q: want both Append and Parse", c.Name)
	}
	for i, a := range c.Answers {
		if a.name == "" || len(a.name) > MaxID {
			return fmt.Errorf("Codec %q: Answers[%d]: want a name of 1 to %d bytes, got %d", c.Name, i, MaxID, len(a.name))
		}
		for _, other := range c.Answers[:i] {
			if other.name == a.name || other.of == a.of {
				return fmt.Errorf("Codec %q: Answers[%d]: %q for %s is there already", c.Name, i, a.name, a.of)
			}
		}
	}
	return nil
}

// answer finds an Answer by its name.
func (c *Codec[M]) answer(name string) (Answer[M], error) {
	for _, a := range c.Answers {
		if a.name == name {
			return a, nil
		}
	}
	return Answer[M]{}, fmt.Errorf("%w: %q has no answer %q", ErrCodec, c.Name, name)
}

// wayOf finds how answers of type R come back.
func wayOf[R, M any](c *Codec[M]) (*way[R, M], error) {
	for _, a := range c.Answers {
		if w, ok := a.way.(*way[R, M]); ok {
			return w, nil
		}
	}
	return nil, fmt.Errorf("%w: %q has no answer of type %s", ErrCodec, c.Name, reflect.TypeFor[R]())
}

// WithCodec returns a copy whose actors are open to other nodes. In a group it
// has no effect: members are reached by their fellows only.
func (p *PropsTyped[M]) WithCodec(c *Codec[M]) *PropsTyped[M] {
	q := *p
	q.codec = c
	return &q
}
