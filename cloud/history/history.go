package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/fxamacker/cbor/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/id"
)

const (
	formatVersion = 1

	// maxShard is what the two bytes of a shard in a key can hold.
	maxShard = 1<<16 - 1

	memTable    = 32 << 20 // a sixth of it is the largest atomic batch
	vlogFile    = 64 << 20 // nothing goes there: every value is below the threshold
	vlogFrom    = 1 << 20  // above wire.MaxFrame, so that rows share the WAL with their position
	memTables   = 3
	compactors  = 2
	flushTables = 4
	stallTables = 12
)

// Config says where and how to keep.
type Config struct {
	Dir string
	// Retention is how long rows, windows, entries and dead letters are kept
	// after they were written. 0 keeps them for ever.
	Retention time.Duration
}

// Store is one node's history. Its methods may be called from any goroutine.
type Store struct {
	db      *badger.DB
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	enc     cbor.EncMode
	dec     cbor.DecMode

	mu     sync.Mutex
	shards map[int]*shardState
	known  map[string]struct{} // series keys that are stored
	spans  map[seriesID]int64  // longest block of a series, microseconds
	// adopted are the notes of sites that came from other shards: after the lower
	// end, up to the upper.
	adopted map[id.Site]map[int]Hole

	raising sync.Mutex // the turn of who writes spans: two shards may have rows of one series
}

// shardState is what is known about a shard's part, guarded by Store.mu, and
// the turn of who writes it: the owner, or who fills its hole.
type shardState struct {
	writing sync.Mutex

	position uint64
	hole     Hole
	dead     int
}

// shard returns a shard's state, which is made when it is first asked for.
func (s *Store) shard(n int) (*shardState, error) {
	if n < 0 || n > maxShard {
		return nil, fmt.Errorf("shard %d, want 0 to %d", n, maxShard)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards[n] == nil {
		s.shards[n] = new(shardState)
	}
	return s.shards[n], nil
}

// Open opens the store in cfg.Dir, creating it. A directory in use by another
// process, or of another format, is an error that says so.
func Open(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("history: metrics: %w", err)
	}
	db, err := badger.Open(badgerOptions(cfg.Dir, log))
	if err != nil {
		return nil, fmt.Errorf("history: open %s: %w", cfg.Dir, err)
	}
	s := &Store{
		db: db, cfg: cfg, log: log, metrics: m,
		shards:  make(map[int]*shardState),
		known:   make(map[string]struct{}),
		spans:   make(map[seriesID]int64),
		adopted: make(map[id.Site]map[int]Hole),
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("history: open %s: %w", cfg.Dir, err), db.Close())
	}
	return s, nil
}

// Close releases the directory. Nothing may be in flight.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("history: close: %w", err)
	}
	return nil
}

// badgerOptions are those of a cloud node. Every write is fsynced: Badger's
// Sync leaves out memtables that wait for their flush, so that it can't make
// an earlier write durable after the fact. Values stay below the threshold of
// the value log, so that one WAL holds a batch whole.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(memTable).
		WithNumMemtables(memTables).
		WithNumCompactors(compactors).
		WithNumLevelZeroTables(flushTables).
		WithNumLevelZeroTablesStall(stallTables).
		WithValueThreshold(vlogFrom).
		WithValueLogFileSize(vlogFile).
		WithCompression(options.None). // columns are dense already
		WithBlockCacheSize(0).         // only of use with compression
		WithDetectConflicts(false).    // one writer a shard, keys are disjoint
		WithMetricsEnabled(false).
		WithLogger(logger{log})
}

// load reads what Write needs to know of earlier writes.
func (s *Store) load() error {
	if err := s.modes(); err != nil {
		return err
	}
	if err := s.format(); err != nil {
		return err
	}
	return s.db.View(func(txn *badger.Txn) error {
		if err := s.loadPositions(txn); err != nil {
			return err
		}
		if err := s.loadHoles(txn); err != nil {
			return err
		}
		if err := s.loadAdopted(txn); err != nil {
			return err
		}
		if err := s.loadSeries(txn); err != nil {
			return err
		}
		for n, sh := range s.shards {
			sh.dead = countKeys(txn, deadShard(n))
		}
		return nil
	})
}

func (s *Store) modes() (err error) {
	if s.enc, err = cbor.CoreDetEncOptions().EncMode(); err != nil {
		return fmt.Errorf("cbor: %w", err)
	}
	if s.dec, err = (cbor.DecOptions{ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}).DecMode(); err != nil {
		return fmt.Errorf("cbor: %w", err)
	}
	return nil
}

// format checks the version of an existing store or writes it to a new one.
func (s *Store) format() error {
	return s.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte{keyFormat})
		if errors.Is(err, badger.ErrKeyNotFound) {
			return txn.Set([]byte{keyFormat}, []byte{formatVersion})
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if len(v) != 1 || v[0] != formatVersion {
				return fmt.Errorf("the store has format %v, this program reads %d", v, formatVersion)
			}
			return nil
		})
	})
}

func (s *Store) loadPositions(txn *badger.Txn) error {
	return scan(txn, []byte{keyPosition}, func(key, value []byte) error {
		body, err := unseal(key, value)
		if err != nil {
			return fmt.Errorf("position: %w", err)
		}
		if len(key) != 3 || len(body) != 8 {
			return fmt.Errorf("position: key of %d and value of %d bytes", len(key), len(body))
		}
		s.shards[int(binary.BigEndian.Uint16(key[1:]))] = &shardState{position: binary.BigEndian.Uint64(body)}
		return nil
	})
}

func (s *Store) loadSeries(txn *badger.Txn) error {
	if err := scanKeys(txn, []byte{keySeries}, func(key []byte) { s.known[string(key)] = struct{}{} }); err != nil {
		return err
	}
	return scan(txn, []byte{keySpan}, func(key, value []byte) error {
		body, err := unseal(key, value)
		if err != nil {
			return fmt.Errorf("span: %w", err)
		}
		if len(key) != rowPrefix || len(body) != 8 {
			return fmt.Errorf("span: key of %d and value of %d bytes", len(key), len(body))
		}
		s.spans[seriesID(key[1:])] = int64(binary.BigEndian.Uint64(body))
		return nil
	})
}

// walk is how values under a prefix are read: they lie beside their keys, so that
// to fetch them ahead would be a goroutine and a copy for each and gain nothing.
func walk(prefix []byte) badger.IteratorOptions { return badger.IteratorOptions{Prefix: prefix} }

// scan calls f with each key and value under prefix, in order. Both are valid
// only within f.
func scan(txn *badger.Txn, prefix []byte, f func(key, value []byte) error) error {
	it := txn.NewIterator(walk(prefix))
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if err := item.Value(func(v []byte) error { return f(item.Key(), v) }); err != nil {
			return err
		}
	}
	return nil
}

func scanKeys(txn *badger.Txn, prefix []byte, f func(key []byte)) error {
	it := txn.NewIterator(walk(prefix))
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		f(it.Item().Key())
	}
	return nil
}

func countKeys(txn *badger.Txn, prefix []byte) (n int) {
	_ = scanKeys(txn, prefix, func([]byte) { n++ })
	return n
}

// logger passes Badger's warnings and errors on; its chatter is dropped.
type logger struct{ log *slog.Logger }

func (l logger) Errorf(f string, a ...any) { l.log.Error("history: badger: " + fmt.Sprintf(f, a...)) }

func (l logger) Warningf(f string, a ...any) { l.log.Warn("history: badger: " + fmt.Sprintf(f, a...)) }
func (l logger) Infof(string, ...any)        {}
func (l logger) Debugf(string, ...any)       {}
