package main

import (
	"fmt"
	"sync"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// appender is a gate.Appender that keeps nothing. What it knows of the series of
// each run tells it how many readings a frame holds. The zero value is ready.
type appender struct {
	mu      sync.Mutex
	seq     uint64
	columns map[series]uint64
	taken   uint64 // readings
}

type series struct {
	run id.Run
	sid uint32
}

func (a *appender) Append(_ int, _ string, rec journal.Record, done func(uint64, error)) error {
	a.mu.Lock()
	a.seq++
	seq := a.seq
	err := a.take(rec)
	a.mu.Unlock()
	done(seq, err)
	return nil
}

// LagOf is none, ever.
func (a *appender) LagOf(int, id.Site) int64 { return 0 }

// readings is how many of them were taken, before they were acked.
func (a *appender) readings() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.taken
}

// take reads a record, which the gate has checked.
func (a *appender) take(rec journal.Record) error {
	switch rec.Kind {
	case journal.KindSchema:
		s, err := wire.ParseSchema(rec.Body)
		if err != nil {
			return fmt.Errorf("counterpart: %w", err)
		}
		body, err := wire.ParseBody(s.Body)
		if err != nil {
			return fmt.Errorf("counterpart: %w", err)
		}
		if a.columns == nil {
			a.columns = make(map[series]uint64)
		}
		a.columns[series{s.Run, s.SID}] = uint64(len(body.Columns))
	case journal.KindFrame:
		f, err := wire.ParseFrame(rec.Body)
		if err != nil {
			return fmt.Errorf("counterpart: %w", err)
		}
		for _, b := range f.Blocks {
			a.taken += uint64(b.N) * a.columns[series{f.Run, b.SID}]
		}
	}
	return nil
}
