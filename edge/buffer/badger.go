package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sys/unix"
)

// badgerStore is a Store on Badger, with settings for a gateway of 512 MB and
// a flash card.
type badgerStore struct {
	db      *badger.DB
	witness *witness
	ballast *ballast // nil where there can be none
	dir     string
	log     *slog.Logger
}

const (
	// memTable holds keys and pointers only, as values go to the value log; it
	// is what bounds a batch (MaxBatchIndex).
	memTable = 256 << 10
	// valueLogFile: Badger maps twice as much, which must fit into what a
	// 32-bit process has left; it is also the unit in which space comes back.
	valueLogFile = 8 << 20
	// mostlyDead is the dead part from which a value log file is rewritten. What
	// is dropped or acked dies in the order in which it was written, so that it
	// pays to wait: what is copied early dies soon in its new file, which is not
	// the next to go.
	mostlyDead = 0.9
	// halfDead is the same while the store takes too much.
	halfDead = 0.5
	// minFree is what Badger may write while it starts: a full file system then
	// is a SIGBUS, which cannot be caught. It is far below the default reserve,
	// so that a buffer that fills its disk can start again.
	minFree = valueLogFile
)

// sentinel is the prefix of the key that Reclaim drops; no other key begins so.
var sentinel = []byte{0xff, 'z'}

// OpenBadger opens or creates the store in a directory, which only one process
// may use at a time: a second one gets ErrInUse. It repairs what is damaged as
// far as the rest can be used, and refuses to start where less than minFree
// bytes are free.
func OpenBadger(dir string, log *slog.Logger) (Store, error) {
	fail := func(err error) (Store, error) { return nil, fmt.Errorf("buffer: %s: %w", dir, err) }
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(fmt.Errorf("the directory cannot be made: %w", pathless(err)))
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fail(fmt.Errorf("the directory cannot be written: %w", err))
	}
	s := &badgerStore{dir: dir, log: log}
	s.ballast = &ballast{filepath.Join(dir, ballastFile), s.Free}
	free, dropped, err := s.ballast.drop()
	if err != nil {
		return fail(err)
	}
	if dropped {
		log.Warn("buffer: the file system is full; the ballast was given up to start", "free", free)
	}
	if free < minFree {
		return fail(fmt.Errorf("%d bytes are free, at least %d are needed to start", free, minFree))
	}
	if err := repair(dir, log); err != nil {
		return fail(err)
	}
	if s.db, err = badger.Open(badgerOptions(dir, log)); err != nil {
		if strings.Contains(err.Error(), "Cannot acquire directory lock") { // since the repair
			return fail(ErrInUse)
		}
		return fail(err)
	}
	if err := s.attend(); err != nil {
		return fail(errors.Join(err, s.db.Close()))
	}
	if err := s.ballast.lay(); err != nil {
		log.Warn("buffer: a full disk can keep the agent from starting", "error", err)
		s.ballast = nil // it would not be laid later either
	}
	return s, nil
}

func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{log}).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithNumGoroutines(1).
		WithNumMemtables(2).
		WithNumCompactors(2). // 1 is refused
		WithNumLevelZeroTables(1).
		WithNumLevelZeroTablesStall(3).
		WithMemTableSize(memTable).
		WithBaseTableSize(memTable).
		WithBaseLevelSize(16 << 20).
		WithValueThreshold(InlineValue).
		WithValueLogFileSize(valueLogFile).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0)
}

// Commit implements Store.
func (s *badgerStore) Commit(b *Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	if err := s.witness.before(b); err != nil {
		return err
	}
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	for _, op := range b.Ops {
		var err error
		if op.Value == nil {
			err = txn.Delete(op.Key)
		} else {
			err = txn.Set(op.Key, op.Value)
		}
		if errors.Is(err, badger.ErrTxnTooBig) {
			return ErrBatchLimit
		}
		if err != nil {
			return err
		}
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	return s.witness.after(b)
}

// Get implements Store.
func (s *badgerStore) Get(key []byte) (value []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		// A value log is cut at its first entry that is damaged; what lay behind
		// it is gone, and its key is not.
		if value, err = item.ValueCopy(nil); err != nil {
			return fmt.Errorf("%w: %w", errCorrupt, err)
		}
		return nil
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	return value, err
}

// Scan implements Store.
func (s *badgerStore) Scan(prefix []byte, each func(key []byte, size int64) error) error {
	return s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(prefix); it.ValidForPrefix(prefix); it.Next() {
			if err := each(it.Item().Key(), it.Item().ValueSize()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Size implements Store with the blocks that the files take but the ballast:
// Badger's files are sparse, and its own count is a minute old.
func (s *badgerStore) Size() (int64, error) {
	var total int64
	err := filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ballastFile {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += int64(st.Blocks) * 512
		}
		return nil
	})
	return total, err
}

// ignoreGone passes errors but those of files that compaction just removed.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Free implements Store.
func (s *badgerStore) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", s.dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// Reclaim implements Store. Value log files are given back by what compaction
// has found dead, and compaction needs tables: dropping a sentinel forces the
// memtable out (a prefix without keys is skipped silently), flattening compacts
// it, and only then does the value log's collector find anything.
func (s *badgerStore) Reclaim(enough int64) error {
	err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(append([]byte(nil), sentinel...), nil) })
	if err != nil {
		return fmt.Errorf("sentinel: %w", err)
	}
	if err := s.db.DropPrefix(sentinel); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := s.db.Flatten(1); err != nil {
		return fmt.Errorf("flatten: %w", err)
	}
	for more := true; more; {
		ratio := mostlyDead
		if size, err := s.Size(); err != nil || size > enough {
			ratio = halfDead
		}
		if more, err = s.collect(ratio); err != nil {
			return fmt.Errorf("value log: %w", err)
		}
	}
	if s.ballast == nil {
		return nil
	}
	return s.ballast.lay()
}

// collect rewrites one file of the value log of which at least a part is dead,
// if there is one.
func (s *badgerStore) collect(part float64) (more bool, err error) {
	err = s.db.RunValueLogGC(part)
	if errors.Is(err, badger.ErrNoRewrite) {
		return false, nil
	}
	return err == nil, err
}

// Close implements Store.
func (s *badgerStore) Close() error { return s.db.Close() }

// badgerLog passes on what Badger warns of; its chatter is dropped.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any) { l.log.Error(line(format, args)) }

func (l badgerLog) Warningf(format string, args ...any) { l.log.Warn(line(format, args)) }

func (l badgerLog) Infof(string, ...any) {}

func (l badgerLog) Debugf(string, ...any) {}

func line(format string, args []any) string {
	return "badger: " + strings.TrimSpace(fmt.Sprintf(format, args...))
}

// pathless returns the cause in a path error: the directory is named already.
func pathless(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
