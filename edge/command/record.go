package command

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Phase is how far a command has come.
type Phase uint8

// The phases. The ledger knows Executing, Offered and Settled; its numbers are
// those, and never change.
const (
	Waiting   Phase = 0 // for its turn at the device
	Beginning Phase = 1 // the ledger is told that it executes
	Executing Phase = 2
	Ending    Phase = 3 // the ledger is told its result
	Offered   Phase = 4 // its result is for the gate to settle
	Settled   Phase = 5 // a tombstone: it must not begin again
)

func (p Phase) String() string {
	names := [...]string{"waiting", "beginning", "executing", "ending", "offered", "settled"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Record is what the ledger keeps of a command.
type Record struct {
	_          struct{} `cbor:",toarray"`
	Phase      Phase
	Boot       id.Boot       // whose clock the times are of
	Until      time.Duration // since boot: it may begin before
	Span       time.Duration // how long that was when it came
	Ended      time.Duration // since boot
	Idempotent bool
	Message    []byte // the command while it executes, then its result, as on the wire
}

// Append writes the record: CBOR, the same bytes for the same record.
func (r *Record) Append(dst []byte) ([]byte, error) {
	b, err := cbor.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("command: record: %w", err)
	}
	return append(dst, b...), nil
}

// ParseRecord reads what Append wrote.
func ParseRecord(b []byte) (Record, error) {
	var r Record
	if err := cbor.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("command: record: %w", err)
	}
	var err error
	switch r.Phase {
	case Executing:
		_, err = wire.ParseCommand(r.Message)
	case Offered, Settled:
		_, err = wire.ParseResult(r.Message)
	default:
		err = fmt.Errorf("%s is not kept", r.Phase)
	}
	if err != nil {
		return Record{}, fmt.Errorf("command: record: %w", err)
	}
	return r, nil
}
