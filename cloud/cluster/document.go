package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

const documentVersion = 1

// State says how far the owner of a shard is.
type State string

// An owner is recovering from its claim until its state stands at the barrier.
// A shard that is offered belongs to the owner before, until the one that the
// document names has its barrier in the log.
const (
	Recovering State = "recovering"
	Active     State = "active"
	Offered    State = "offered"
)

// Document is what the key shard.<s> holds. It is informative: a fence is the
// last barrier in the log, never this.
type Document struct {
	Version     int    `json:"version"`
	Incarnation uint64 `json:"incarnation"`
	Epoch       uint64 `json:"epoch"`
	Owner       string `json:"owner"`
	State       State  `json:"state"`
	// Barrier is the sequence of the owner's barrier, 0 while it recovers; of an
	// offer, up to where the log is in a durable snapshot.
	Barrier uint64 `json:"barrier"`
}

const keyPrefix = "shard."

// Key returns the key of a shard's document.
func Key(shard int) string { return keyPrefix + strconv.Itoa(shard) }

// ParseDocument reads a shard's document; unknown keys are refused, as a newer
// version wrote them.
func ParseDocument(b []byte) (Document, error) {
	var d Document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Document{}, fmt.Errorf("cluster: document: byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Document{}, fmt.Errorf("cluster: document: byte %d: something follows the end", dec.InputOffset())
	}
	switch {
	case d.Version != documentVersion:
		return Document{}, fmt.Errorf("cluster: document: version %d, this program reads %d: a newer one wrote it", d.Version, documentVersion)
	case d.Owner == "":
		return Document{}, fmt.Errorf("cluster: document: no owner")
	case d.State != Recovering && d.State != Active && d.State != Offered:
		return Document{}, fmt.Errorf("cluster: document: state %q, want %s, %s or %s", d.State, Recovering, Active, Offered)
	}
	return d, nil
}

func (d Document) encode() []byte {
	b, err := json.Marshal(d)
	if err != nil {
		panic("BUG: cluster: " + err.Error()) // only strings and integers
	}
	return b
}
