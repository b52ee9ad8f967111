package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Position returns the sequence of the last journal message of the shard that
// history holds, 0 for none. It is durable: every write is fsynced.
func (s *Store) Position(shard int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shards[shard]; sh != nil {
		return sh.position
	}
	return 0
}

// Write stores what the shard's messages up to seq projected since the
// position before, and the new position, atomically and fsynced. At or below
// the position it does nothing: replay asks again for what is there. Larger
// than one of Badger's batches, the projections go before the position, so
// that a crash between repeats them to the same keys.
func (s *Store) Write(shard int, seq uint64, p *Projections) error {
	sh, err := s.shard(shard)
	if err != nil {
		return fmt.Errorf("history: write: %w", err)
	}
	sh.writing.Lock()
	defer sh.writing.Unlock()
	if seq <= s.Position(shard) {
		s.metrics.skipped.Inc()
		return nil
	}
	begin := time.Now()
	w := s.writer(shard)
	defer w.discard()
	err = w.all(p)
	if err == nil {
		err = w.setPosition(seq)
	}
	if err == nil {
		err = w.commit(func() { sh.position = seq })
	}
	if err != nil {
		return fmt.Errorf("history: write shard %d to %d: %w", shard, seq, err)
	}
	s.metrics.write.Observe(time.Since(begin).Seconds())
	return nil
}

// writer is one write of a shard. What it learns becomes the store's only after
// the last commit.
type writer struct {
	store  *Store
	shard  int
	age    time.Duration // of what it writes
	txn    *badger.Txn
	dead   int
	series map[string]struct{}
	spans  map[seriesID]int64
	raises bool // it has the turn of who writes spans

	rows, windows int
}

// writer begins a write; discard ends it.
func (s *Store) writer(shard int) *writer {
	return &writer{store: s, shard: shard, txn: s.db.NewTransaction(true)}
}

func (w *writer) discard() {
	w.txn.Discard()
	if w.raises {
		w.store.raising.Unlock()
	}
}

// commit ends the last transaction, and makes what was learned the store's,
// and what learn says.
func (w *writer) commit(learn func()) error {
	if err := w.txn.Commit(); err != nil {
		return err
	}
	s := w.store
	s.mu.Lock()
	sh := s.shards[w.shard]
	learn()
	sh.dead += w.dead
	for key := range w.series {
		s.known[key] = struct{}{}
	}
	for id, span := range w.spans {
		s.spans[id] = max(s.spans[id], span)
	}
	over := sh.dead > MaxDeadLetters
	s.mu.Unlock()
	s.metrics.rows.Add(float64(w.rows))
	s.metrics.windows.Add(float64(w.windows))
	if over {
		return s.giveUp(w.shard)
	}
	return nil
}

// all adds projections to the write.
func (w *writer) all(p *Projections) error {
	w.rows += len(p.Rows)
	w.windows += len(p.Windows)
	for i := range p.Series {
		if err := w.introduce(&p.Series[i]); err != nil {
			return err
		}
	}
	for i := range p.Rows {
		if err := w.row(&p.Rows[i]); err != nil {
			return err
		}
	}
	for i := range p.Ledger {
		e := &p.Ledger[i]
		if err := w.encoded(ledgerKey(e.Site, w.shard, e.At), e, w.retention()); err != nil {
			return err
		}
	}
	for i := range p.Windows {
		if err := w.window(&p.Windows[i]); err != nil {
			return err
		}
	}
	for i := range p.Alarms {
		a := &p.Alarms[i]
		if err := w.encoded(alarmKey(a.Site, w.shard, a.At), a, w.retention()); err != nil {
			return err
		}
	}
	for i := range p.Dead {
		d := p.Dead[i]
		d.cut()
		if err := w.letter(deadKey(w.shard, d.At), &d); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) setPosition(seq uint64) error {
	key := positionKey(w.shard)
	return w.set(key, seal(binary.BigEndian.AppendUint64(nil, seq), 0, key), forever)
}

// forever is how long positions and series are kept.
const forever = time.Duration(0)

// retention is how long the rest is kept from now on.
func (w *writer) retention() time.Duration {
	if w.store.cfg.Retention == forever {
		return forever
	}
	return w.store.cfg.Retention - w.age
}

// set adds to the transaction, and begins a new one when it is full.
func (w *writer) set(key, value []byte, keep time.Duration) error {
	e := badger.NewEntry(key, value)
	if keep != forever {
		e = e.WithTTL(keep)
	}
	return w.added(func() error { return w.txn.SetEntry(e) })
}

func (w *writer) remove(key []byte) error {
	return w.added(func() error { return w.txn.Delete(key) })
}

func (w *writer) added(add func() error) error {
	err := add()
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := w.txn.Commit(); err != nil {
		return err
	}
	w.txn = w.store.db.NewTransaction(true)
	return add()
}

// introduce stores a series' columns unless they are there already.
func (w *writer) introduce(d *Series) error {
	key := seriesKey(d.Device, d.Schema)
	w.store.mu.Lock()
	_, ok := w.store.known[string(key)]
	w.store.mu.Unlock()
	if _, now := w.series[string(key)]; ok || now {
		return nil
	}
	if w.series == nil {
		w.series = make(map[string]struct{})
	}
	w.series[string(key)] = struct{}{}
	return w.set(key, seal(append([]byte(nil), d.Body...), 0, key), forever)
}

func (w *writer) row(r *Row) error {
	if r.To < r.From || len(r.Data) == 0 {
		return fmt.Errorf("row of %s in run %s seq %d: from %d to %d with %d bytes", r.Device, r.Run, r.Seq, r.From, r.To, len(r.Data))
	}
	id := seriesOf(r.Device, r.Schema)
	if err := w.span(id, r.To-r.From); err != nil {
		return err
	}
	// One allocation for both: the transaction keeps them until its commit.
	buf := make([]byte, 0, rowKeySize+len(r.Data)+maxHeader+crcSize)
	buf = appendRowKey(buf, id, r)
	key := buf[:len(buf):len(buf)]
	buf = appendBlock(buf, r)
	return w.set(key, seal(buf, len(key), key)[len(key):], w.retention())
}

// span remembers the longest block of a series: how far before a time a
// reader must look for blocks that reach into it.
func (w *writer) span(id seriesID, span int64) error {
	if span <= max(w.store.span(id), w.spans[id]) {
		return nil
	}
	// A site that moved has rows of two shards in one series: the smaller of two
	// spans must not come last.
	if !w.raises {
		w.store.raising.Lock()
		w.raises = true
		if span <= w.store.span(id) {
			return nil
		}
	}
	// Rounded up to a power of two, so that it is rarely written.
	rounded := int64(math.MaxInt64)
	for up := int64(1024); up > 0; up <<= 1 {
		if up >= span {
			rounded = up
			break
		}
	}
	if w.spans == nil {
		w.spans = make(map[seriesID]int64)
	}
	w.spans[id] = rounded
	key := spanKey(id)
	return w.set(key, seal(binary.BigEndian.AppendUint64(nil, uint64(rounded)), 0, key), forever)
}

// span returns the longest block of a series, in microseconds.
func (s *Store) span(id seriesID) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spans[id]
}

func (w *writer) encoded(key []byte, v any, keep time.Duration) error {
	b, err := w.store.enc.Marshal(v)
	if err != nil {
		return err
	}
	return w.set(key, seal(b, 0, key), keep)
}

// letter counts a dead letter unless it rewrites one.
func (w *writer) letter(key []byte, d *DeadLetter) error {
	_, err := w.txn.Get(key)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		w.dead++
	case err != nil:
		return err
	}
	return w.encoded(key, d, w.retention())
}

// giveUp removes the shard's oldest dead letters beyond MaxDeadLetters. It
// counts again, since those that aged away were not counted when they did.
func (s *Store) giveUp(shard int) error {
	var keys [][]byte
	err := s.db.View(func(txn *badger.Txn) error {
		return scanKeys(txn, deadShard(shard), func(key []byte) { keys = append(keys, slices.Clone(key)) })
	})
	if err != nil {
		return fmt.Errorf("history: dead letters of shard %d: %w", shard, err)
	}
	kept := min(len(keys), MaxDeadLetters)
	keys = keys[:len(keys)-kept]
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	for _, key := range keys {
		if err := batch.Delete(key); err != nil {
			return fmt.Errorf("history: remove dead letters of shard %d: %w", shard, err)
		}
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("history: remove dead letters of shard %d: %w", shard, err)
	}
	s.mu.Lock()
	s.shards[shard].dead = kept
	s.mu.Unlock()
	s.metrics.given.Add(float64(len(keys)))
	return nil
}
