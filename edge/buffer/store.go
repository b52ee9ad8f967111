package buffer

import "errors"

// Store keeps values by key on storage that survives a crash. The buffer is
// its only user and calls Commit and Reclaim one at a time; Get and Scan run
// beside them.
type Store interface {
	// Commit applies the batch as a whole or not at all, in the order of its
	// operations, and returns nil only once it is fsynced. After an error it is
	// not known whether the batch was applied.
	Commit(b *Batch) error
	// Get returns a copy of a value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan calls each for the keys that begin with prefix, in ascending order
	// of bytes, with the size of their values, until each returns an error,
	// which it passes on. The key is valid during the call.
	Scan(prefix []byte, each func(key []byte, size int64) error) error
	// Size returns the bytes that the store takes on its disk, what deleted
	// values still hold included.
	Size() (int64, error)
	// Free returns the bytes that the file system has left for the store.
	Free() (int64, error)
	// Reclaim gives back what deleted values hold where little that is not
	// deleted has to be copied for it, and wherever it can be while the store
	// takes more than enough bytes.
	Reclaim(enough int64) error
	// Close flushes and releases the store. No other call may be under way.
	Close() error
}

// Errors of stores.
var (
	ErrNotFound = errors.New("buffer: no such key")
	// ErrBatchLimit is a batch beyond MaxBatchOps, MaxBatchIndex or MaxBatchBytes.
	ErrBatchLimit = errors.New("buffer: batch too large to be atomic")
	// ErrInUse is a directory that another process has open.
	ErrInUse = errors.New("another agent uses the directory")
)

// What one batch may hold. Badger commits atomically what fits into 15 % of
// its memtable (38 KiB of 256 KiB) and into as many skip list nodes; values of
// InlineValue and more lie in the value log and count as a pointer.
const (
	MaxBatchOps   = 256
	MaxBatchIndex = 32 << 10
	// MaxBatchBytes bounds the values, and so the memory that a commit takes.
	MaxBatchBytes = 4 << 20
	// InlineValue is the size from which a value goes to the value log. What is
	// smaller will be merged (merge.go): in the value log, whose files come free
	// as a whole, it would leave each file half dead.
	InlineValue = mergeSize + 1
	// indexEntry is what an entry costs in the index beside its key: a value
	// pointer and meta bytes.
	indexEntry = 16
)

// Op is one operation of a batch: a put, or a delete when Value is nil.
type Op struct {
	Key, Value []byte
}

// Batch is a list of operations that happen together. Put and Delete keep the
// slices that they are given.
type Batch struct {
	Ops   []Op
	index int
	bytes int
}

// Put sets a key to a value, which must not be nil.
func (b *Batch) Put(key, value []byte) {
	if value == nil {
		panic("BUG: buffer: put of a nil value")
	}
	b.index += indexCost(len(key), len(value))
	b.bytes += len(value)
	b.Ops = append(b.Ops, Op{key, value})
}

// Delete removes a key; it need not exist.
func (b *Batch) Delete(key []byte) {
	b.index += indexCost(len(key), 0)
	b.Ops = append(b.Ops, Op{Key: key})
}

// Bytes returns the size of the values.
func (b *Batch) Bytes() int { return b.bytes }

// Check returns ErrBatchLimit for a batch that no store need take.
func (b *Batch) Check() error {
	if len(b.Ops) > MaxBatchOps || b.index > MaxBatchIndex || b.bytes > MaxBatchBytes {
		return ErrBatchLimit
	}
	return nil
}

// fits says whether entries of so many index and value bytes may still come in.
func (b *Batch) fits(ops, index, bytes int) bool {
	return len(b.Ops)+ops <= MaxBatchOps && b.index+index <= MaxBatchIndex && b.bytes+bytes <= MaxBatchBytes
}

func indexCost(key, value int) int {
	if value >= InlineValue {
		value = 0
	}
	return key + value + indexEntry
}
