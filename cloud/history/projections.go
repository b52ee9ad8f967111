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
	_      struct{} `cbor:",toarray"`
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
	*p = Projections{
		Series: p.Series[:0], Rows: p.Rows[:0], Ledger: p.Ledger[:0], Dead: p.Dead[:0],
		Windows: p.Windows[:0], Alarms: p.Alarms[:0],
	}
}

// Extent is how much of each kind a Projections held at some time.
type Extent struct{ series, rows, ledger, dead, windows, alarms int }

// Extent returns how much p holds.
func (p *Projections) Extent() Extent {
	return Extent{len(p.Series), len(p.Rows), len(p.Ledger), len(p.Dead), len(p.Windows), len(p.Alarms)}
}

// Since returns what was added since p had an extent. It shares p's memory.
func (p *Projections) Since(e Extent) Projections {
	return Projections{
		Series: p.Series[e.series:], Rows: p.Rows[e.rows:], Ledger: p.Ledger[e.ledger:], Dead: p.Dead[e.dead:],
		Windows: p.Windows[e.windows:], Alarms: p.Alarms[e.alarms:],
	}
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
	_      struct{} `cbor:",toarray"`
	Device id.Device
	Schema id.Schema
	Body   []byte // wire.Body's encoding
}

// Row is one block of a frame: N readings of each of its series' points, as
// the wire's columns.
type Row struct {
	_           struct{} `cbor:",toarray"`
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
