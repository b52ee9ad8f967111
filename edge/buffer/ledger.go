package buffer

import (
	"errors"
	"fmt"

	"github.com/atrium-iot/atrium/shared/id"
)

// Ledger keeps small values by command beside the runs, on the same store and
// with the same care: what Write has returned for survives a crash. What the
// values say is its user's concern.
type Ledger struct{ b *Buffer }

// LedgerValue is what the ledger holds of one command.
type LedgerValue struct {
	ID id.Command
	// Value is at most MaxLedgerValue bytes; nil when the store returned
	// something else than was written.
	Value []byte
}

// MaxLedgerValue bounds a value in bytes: a command with the most and longest
// arguments is 1.3 KiB.
const MaxLedgerValue = 4 << 10

// Ledger returns the buffer's ledger. It ends with the buffer.
func (b *Buffer) Ledger() *Ledger { return &Ledger{b} }

// Load returns what the ledger holds, ascending by command.
func (l *Ledger) Load() ([]LedgerValue, error) {
	var all []LedgerValue
	err := l.b.store.Scan([]byte{keyLedger}, func(key []byte, _ int64) error {
		if len(key) == len(ledgerKey(id.Command{})) {
			all = append(all, LedgerValue{ID: id.Command(key[1:])})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("buffer: ledger: %w", err)
	}
	for i := range all {
		all[i].Value, err = l.b.get(ledgerKey(all[i].ID))
		if err != nil && !errors.Is(err, errCorrupt) {
			return nil, fmt.Errorf("buffer: ledger: %w", err)
		}
	}
	return all, nil
}

// Write puts values, removes what is gone, and returns nil once that is
// fsynced. It is atomic for each value. The ledger may use half of the file
// system's reserve: it is small, and what it says is worth more than a reading;
// below that Write returns ErrFull and changes nothing. After another error it
// is not known what was written.
func (l *Ledger) Write(put []LedgerValue, gone []id.Command) error {
	batches, err := ledgerBatches(put, gone)
	if err != nil {
		return fmt.Errorf("buffer: ledger: %w", err)
	}
	l.b.write <- struct{}{}
	defer func() { <-l.b.write }()
	if err := l.room(batches); err != nil {
		return fmt.Errorf("buffer: ledger: %w", err)
	}
	for _, batch := range batches {
		err := l.b.store.Commit(batch)
		l.b.mu.Lock()
		l.b.core.count.writes++
		if err != nil {
			l.b.core.count.writeErrors++
		}
		l.b.mu.Unlock()
		if err != nil {
			return fmt.Errorf("buffer: ledger: %w", err)
		}
	}
	return nil
}

// room returns an error if the batches may not be written. b.write is held.
func (l *Ledger) room(batches []*Batch) error {
	l.b.mu.Lock()
	closed := l.b.closed
	l.b.mu.Unlock()
	if closed {
		return ErrClosed
	}
	free, err := l.b.store.Free()
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	need := l.b.cfg.Reserve/2 - free
	for _, batch := range batches {
		need += int64(batch.Bytes())
	}
	if need > 0 {
		return fmt.Errorf("%w: %d bytes more are needed", ErrFull, need)
	}
	return nil
}

// ledgerBatches lays the operations into as few batches as may hold them.
func ledgerBatches(put []LedgerValue, gone []id.Command) ([]*Batch, error) {
	all := []*Batch{{}}
	next := func(key, value int) *Batch {
		last := all[len(all)-1]
		if !last.fits(1, indexCost(key, value), value) {
			last = &Batch{}
			all = append(all, last)
		}
		return last
	}
	for _, v := range put {
		if n := len(v.Value); n > MaxLedgerValue {
			return nil, fmt.Errorf("value of %d bytes, at most %d are kept", n, MaxLedgerValue)
		}
		key := ledgerKey(v.ID)
		value := seal(key, append([]byte(nil), v.Value...))
		next(len(key), len(value)).Put(key, value)
	}
	for _, c := range gone {
		key := ledgerKey(c)
		next(len(key), 0).Delete(key)
	}
	return all, nil
}
