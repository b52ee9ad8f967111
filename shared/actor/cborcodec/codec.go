// Package cborcodec makes codecs for messages that are plain structs, in
// deterministic CBOR (RFC 8949, 4.2.1), so that they travel to actors of other
// nodes.
//
// A struct's exported fields travel, by their names or their cbor (else json)
// tags; cbor:"-" leaves one out. What can't be made again on another node is
// refused when the codec is made: channels, functions, interfaces, references to
// actors and other types that hide what they hold, and embedded fields, whose
// methods would stand for the whole. A Reply is the exception: Ask carries the
// way back beside the message, so it travels as nothing, and one that points at
// an asker is refused in a Tell.
//
// Decoding takes bytes from another node: unknown fields, repeated keys, deep
// nesting and more than the limits below are errors, and a value beyond them is
// refused where it is sent. Both nodes' programs must know the same fields; what
// changes them changes the codec's name.
package cborcodec

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/atrium-iot/atrium/shared/actor"
)

const (
	// maxItems bounds arrays and maps: a body of 256 KiB has at most as many
	// items of a few bytes each.
	maxItems = 64 << 10
	// maxDepth bounds nesting: plain structs have a handful of levels.
	maxDepth = 16
)

// Of makes a codec for messages of type M under a name that both nodes know,
// such as "room.Command/1".
func Of[M any](name string, answers ...actor.Answer[M]) (*actor.Codec[M], error) {
	m, err := modesFor[M]()
	if err != nil {
		return nil, fmt.Errorf("cborcodec: %q: %w", name, err)
	}
	c := &actor.Codec[M]{Name: name, Append: add[M](m), Parse: parse[M](m), Answers: answers}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("cborcodec: %w", err)
	}
	return c, nil
}

// Answer lets questions of type M be answered with an R, which is a plain value
// too. field returns where in the message its Reply lies, and nil when that
// message asks for no R.
func Answer[R, M any](name string, field func(msg *M) *actor.Reply[R]) (actor.Answer[M], error) {
	m, err := modesFor[R]()
	if err != nil {
		return actor.Answer[M]{}, fmt.Errorf("cborcodec: answer %q: %w", name, err)
	}
	attach := func(msg *M, to actor.Reply[R]) bool {
		reply := field(msg)
		if reply == nil {
			return false
		}
		*reply = to
		return true
	}
	return actor.AnswerOf(name, attach, add[R](m), parse[R](m)), nil
}

type modes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func modesFor[T any]() (m modes, err error) {
	if err := travels[T](); err != nil {
		return m, err
	}
	enc := cbor.CoreDetEncOptions()
	enc.Time = cbor.TimeRFC3339Nano // the default loses what is below a second
	enc.BinaryMarshaler = cbor.BinaryMarshalerNone
	if m.enc, err = enc.EncMode(); err != nil {
		return m, err
	}
	m.dec, err = cbor.DecOptions{
		MaxArrayElements: maxItems, MaxMapPairs: maxItems, MaxNestedLevels: maxDepth,
		IndefLength: cbor.IndefLengthForbidden, DupMapKey: cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		BinaryUnmarshaler: cbor.BinaryUnmarshalerNone,
		UTF8:              cbor.UTF8DecodeInvalid, // as it was sent: a Go string is any bytes
	}.DecMode()
	return m, err
}

func add[T any](m modes) func([]byte, T) ([]byte, error) {
	return func(dst []byte, v T) ([]byte, error) {
		b, err := m.enc.Marshal(v)
		if err == nil {
			err = m.dec.Wellformed(b) // within the limits of the other node
		}
		if err != nil {
			return dst, err
		}
		return append(dst, b...), nil
	}
}

func parse[T any](m modes) func([]byte) (T, error) {
	return func(b []byte) (v T, err error) {
		err = m.dec.Unmarshal(b, &v)
		return v, err
	}
}
