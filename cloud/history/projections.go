package history

import (
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Limits.
const (
	// MaxDeadBody bounds what is kept of a dead letter's body, in bytes: the
	// largest frame fits.
	MaxDeadBody = wire.MaxFrame

	// MaxDeadLetters bounds the dead letters of a shard; beyond it the oldest
	// are removed. A gateway that sends only rubbish must not fill the disk.
	MaxDeadLetters = 10_000
)

// Projections are what the records of some journal messages leave in history.
// The zero value is empty. Write keeps nothing of it.
type Projections struct {
	Series []Series
	Rows   []Row
	Ledger []Entry
	Dead   []DeadLetter

	Windows []Window
	Alarms  []AlarmEntry
}

// Reset empties p and keeps its memory.
func (p *Projections) Reset() {
	clear(p.Series)
	clear(p.Rows)
	clear(p.Ledger)
	clear(p.Dead)
	clear(p.Windows)
	clear(p.Alarms)
	*p = Projections{p.Series[:0], p.Rows[:0], p.Ledger[:0], p.Dead[:0], p.Windows[:0], p.Alarms[:0]}
}

// Size estimates the bytes that p takes in a batch.
func (p *Projections) Size() int {
	const each = 128 // key, header and entry overhead
	n := each * (len(p.Series) + len(p.Rows) + 2*len(p.Ledger) + len(p.Dead) + 2*len(p.Windows) + 3*len(p.Alarms))
	for i := range p.Rows {
		n += len(p.Rows[i].Data)
	}
	for i := range p.Series {
		n += len(p.Series[i].Body)
	}
	for i := range p.Dead {
		n += min(len(p.Dead[i].Body), MaxDeadBody)
	}
	return n
}

// Series introduces the columns of (Device, Schema), before the first row.
// Introducing a known one again changes nothing.
type Series struct {
	Device id.Device
	Schema id.Schema
	Body   []byte // wire.Body's encoding
}

// Row is one block of a frame: N readings of each of its series' points, as
// the wire's columns.
type Row struct {
	Device      id.Device
	Schema      id.Schema
	Run         id.Run
	Seq         uint64
	SID         uint32
	Bind, Boot  uint64 // the ranks of I4
	UTC0        int64  // Unix microseconds at the boot's zero
	Uncertainty uint64 // microseconds
	Source      wire.ClockSource
	Grid        uint64 // ticks; ParseColumns needs it
	N           int    // rows
	First       int64  // tick of row 0
	From, To    int64  // Unix microseconds of the earliest and the latest row
	Received    int64  // Unix microseconds of journal time
	Data        []byte // the wire's columns, unchanged
}
