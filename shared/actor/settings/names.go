package settings

import "github.com/atrium-iot/atrium/shared/actor"

// Kind is an actor.Kind that is read from a file by its name.
type Kind actor.Kind

// UnmarshalText is actor.ParseKind.
func (k *Kind) UnmarshalText(text []byte) error {
	kind, err := actor.ParseKind(string(text))
	*k = Kind(kind)
	return err
}

// Overflow is an actor.Overflow that is read from a file by its name.
type Overflow actor.Overflow

// UnmarshalText is actor.ParseOverflow.
func (o *Overflow) UnmarshalText(text []byte) error {
	overflow, err := actor.ParseOverflow(string(text))
	*o = Overflow(overflow)
	return err
}
