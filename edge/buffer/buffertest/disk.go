// Package buffertest has a buffer.Store in memory that loses what a crash
// loses, and the contract that every store has to keep. It is for tests: of the
// buffer itself and of whole lines of components in fake time. It starts no
// goroutine and, but for SetLatency, never sleeps, so that it works in a
// synctest bubble.
//
// A Disk is the medium, which survives; a Store is one opening of it. The disk
// is a log of batches with checksums: a batch is appended, then synced. A crash
// keeps what was synced and, drawn from the seed, a part of the bytes that were
// not; opening replays the log up to the first record that is torn.
package buffertest

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// ErrCrashed is what every call on a store returns after the disk crashed.
var ErrCrashed = errors.New("buffertest: crashed")

// Disk is a storage medium with faults. Its methods are safe for concurrent
// use.
type Disk struct {
	mu      sync.Mutex
	rng     *rand.Rand
	log     []byte
	synced  int // bytes of log that a crash keeps
	open    *Store
	free    int64
	latency time.Duration

	crashIn int // durable steps until a crash; 0 for none
	fails   []failure
	writes  int
	bytes   int64
}

type failure struct {
	err     error
	applied bool
}

// NewDisk returns an empty disk; seed decides what its crashes tear.
func NewDisk(seed uint64) *Disk {
	return &Disk{rng: rand.New(rand.NewPCG(seed, 0)), free: math.MaxInt64 / 2}
}

// Open returns the store on the disk, or buffer.ErrInUse.
func (d *Disk) Open() (*Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		return nil, buffer.ErrInUse
	}
	s := &Store{d: d, values: map[string][]byte{}}
	whole := 0
	for {
		n, ok := replay(d.log[whole:], s.values)
		if !ok {
			break
		}
		whole += n
	}
	d.log = d.log[:whole:whole]
	d.synced = whole
	d.open = s
	return s, nil
}

// Crash stops the process that has the disk open: nothing that was not synced
// is sure to stay.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashLocked()
}

func (d *Disk) crashLocked() {
	torn := len(d.log) - d.synced
	d.log = d.log[:d.synced+d.rng.IntN(torn+1)]
	if d.open != nil {
		d.open.dead = true
	}
	d.open, d.crashIn, d.fails = nil, 0, nil
}

// Copy returns what a crash now would surely keep.
func (d *Disk) Copy() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log[:d.synced])
}

// Put crashes the disk and leaves on it what Copy had returned, nothing for nil.
func (d *Disk) Put(image []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashLocked()
	d.log, d.synced = slices.Clone(image), len(image)
}

// CrashAt crashes the disk at its nth durable step from now, from 1. Every
// commit has three: before it is written, before it is synced, and after, when
// it is durable but the caller does not know.
func (d *Disk) CrashAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashIn = n
}

// Crashed says whether the disk crashed since it was last opened.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open == nil
}

// Fail makes a commit return err, after those that Fail was told before. With
// applied the batch is durable nevertheless.
func (d *Disk) Fail(err error, applied bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = append(d.fails, failure{err, applied})
}

// SetFree sets what Free returns.
func (d *Disk) SetFree(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = bytes
}

// SetLatency makes every commit take so long.
func (d *Disk) SetLatency(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latency = t
}

// Writes returns how many batches were committed and the bytes of their keys
// and values.
func (d *Disk) Writes() (batches int, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes, d.bytes
}

// Damage flips a bit of the value of the first key, in order, that pick
// accepts, in an open store and on the disk. It returns false if there is none.
func (d *Disk) Damage(pick func(key []byte) bool) bool {
	return d.edit(pick, func(b *buffer.Batch, key string, value []byte) {
		value[d.rng.IntN(len(value))] ^= 1 << d.rng.IntN(8)
		b.Put([]byte(key), value)
	})
}

// Lose removes the first key that pick accepts, as a lost index does.
func (d *Disk) Lose(pick func(key []byte) bool) bool {
	return d.edit(pick, func(b *buffer.Batch, key string, _ []byte) { b.Delete([]byte(key)) })
}

func (d *Disk) edit(pick func(key []byte) bool, change func(*buffer.Batch, string, []byte)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	values := map[string][]byte{}
	for at := 0; ; {
		n, ok := replay(d.log[at:], values)
		if !ok {
			break
		}
		at += n
	}
	for _, key := range sortedKeys(values) {
		value := values[key]
		if !pick([]byte(key)) || len(value) == 0 {
			continue
		}
		var b buffer.Batch
		change(&b, key, slices.Clone(value))
		d.log = appendRecord(d.log, &b)
		d.synced = len(d.log)
		if d.open != nil {
			apply(d.open.values, &b)
		}
		return true
	}
	return false
}

// step counts a durable step and crashes if its time has come.
func (d *Disk) step() error {
	if d.crashIn > 0 {
		if d.crashIn--; d.crashIn == 0 {
			d.crashLocked()
			return ErrCrashed
		}
	}
	return nil
}

func apply(values map[string][]byte, b *buffer.Batch) {
	for _, op := range b.Ops {
		if op.Value == nil {
			delete(values, string(op.Key))
		} else {
			values[string(op.Key)] = slices.Clone(op.Value)
		}
	}
}

// recordHead is the length and CRC before each batch in the log.
const recordHead = 8

func appendRecord(dst []byte, b *buffer.Batch) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, recordHead)...)
	for _, op := range b.Ops {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(op.Key)))
		dst = append(dst, op.Key...)
		if op.Value == nil {
			dst = binary.BigEndian.AppendUint32(dst, math.MaxUint32)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(op.Value)))
		dst = append(dst, op.Value...)
	}
	body := dst[start+recordHead:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.BigEndian.PutUint32(dst[start+4:], crc32.ChecksumIEEE(body))
	return dst
}

// replay applies the record at the front of log and returns its length, or
// false at the end or a torn record.
func replay(log []byte, values map[string][]byte) (int, bool) {
	if len(log) < recordHead {
		return 0, false
	}
	n := int(binary.BigEndian.Uint32(log))
	if len(log)-recordHead < n || crc32.ChecksumIEEE(log[recordHead:recordHead+n]) != binary.BigEndian.Uint32(log[4:]) {
		return 0, false
	}
	body := log[recordHead : recordHead+n]
	take := func(n uint32) []byte {
		x := body[:n:n]
		body = body[n:]
		return x
	}
	for len(body) > 0 {
		key := take(binary.BigEndian.Uint32(take(4)))
		size := binary.BigEndian.Uint32(take(4))
		if size == math.MaxUint32 {
			delete(values, string(key))
			continue
		}
		values[string(key)] = slices.Clone(take(size))
	}
	return recordHead + n, true
}
