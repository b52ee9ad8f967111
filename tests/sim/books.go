package sim

import (
	"bytes"
	"sync"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// books are what gateways made and kept, as their disks and uplinks saw it:
// each frame with its bytes, and whether it was committed (I1). They know
// nothing of the cloud.
type books struct {
	trace *trace

	mu      sync.Mutex
	frames  map[frameKey]*leaf
	runs    map[id.Run]*process // who began them
	acked   map[id.Run]uint64
	columns map[sidKey]int // of the series
}

// leaf is a frame.
type leaf struct {
	body       []byte
	suppressed uint64
	durable    bool // at its gateway
}

type sidKey struct {
	run id.Run
	sid uint32
}

func newBooks(t *trace) *books {
	return &books{trace: t, frames: map[frameKey]*leaf{}, runs: map[id.Run]*process{}, acked: map[id.Run]uint64{}, columns: map[sidKey]int{}}
}

// What the store's keys begin with, and how its values end (edge/buffer/DESIGN.md).
const (
	storedRun     = 'r'
	storedSchema  = 's'
	storedGone    = 'g'
	storedSegment = 'f'
	storedCRC     = 4
)

// wrote takes a batch that a process has made durable.
func (b *books) wrote(p *process, batch *buffer.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, op := range batch.Ops {
		switch {
		case op.Value == nil:
		case op.Key[0] == storedRun:
			if run := id.Run(op.Key[1:9]); b.runs[run] == nil {
				b.runs[run] = p
			}
		case op.Key[0] == storedSchema:
			b.schema(op.Value[:len(op.Value)-storedCRC])
		case op.Key[0] == storedSegment:
			items := wire.NewReader(bytes.NewReader(op.Value[:len(op.Value)-storedCRC]), wire.MaxFrame)
			for msg, err := items.Next(); err == nil; msg, err = items.Next() {
				b.frame(bytes.Clone(msg), true)
			}
		}
	}
}

// sent takes what an uplink was given to send.
func (b *books) sent(it buffer.Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, msg := range it.Before {
		if kind, err := wire.Peek(msg); err == nil && kind == wire.KindSchema {
			b.schema(msg)
		}
	}
	b.frame(it.Frame, false)
}

// ack takes what a gateway was told to be durable in the cloud.
func (b *books) ack(run id.Run, seq uint64) {
	b.mu.Lock()
	b.acked[run] = max(b.acked[run], seq)
	b.mu.Unlock()
}

// schema is called with b.mu held.
func (b *books) schema(msg []byte) {
	m, err := wire.ParseSchema(msg)
	if err != nil {
		return
	}
	if body, err := wire.ParseBody(m.Body); err == nil {
		b.columns[sidKey{m.Run, m.SID}] = len(body.Columns)
	}
}

// frame is called with b.mu held. The bytes of a frame never change.
func (b *books) frame(msg []byte, durable bool) {
	kind, err := wire.Peek(msg)
	if err != nil || !kind.IsFrame() {
		return
	}
	run, seq, _, err := wire.PeekSeq(msg)
	if err != nil {
		return
	}
	at := frameKey{run, seq}
	l := b.frames[at]
	if l == nil {
		f, err := wire.ParseFrame(msg)
		if err != nil {
			b.trace.complain("I1", "run %s seq %d: its gateway made a frame that nobody can read: %v", run, seq, err)
			return
		}
		l = &leaf{body: msg, suppressed: uint64(f.Suppressed)}
		b.frames[at] = l
	}
	if !bytes.Equal(l.body, msg) {
		b.trace.complain("I1", "run %s seq %d: its gateway has two frames of that name", run, seq)
	}
	l.durable = l.durable || durable
}

// suppressed sums what the frames of a process's runs count as withheld.
func (b *books) suppressed(p *process) (sum uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, l := range b.frames {
		if b.runs[at.run] == p {
			sum += l.suppressed
		}
	}
	return sum
}

// began returns the process that began a run, nil if none is known.
func (b *books) began(run id.Run) *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runs[run]
}

// committed says of each frame whether it was committed.
func (b *books) committed() map[frameKey]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[frameKey]bool, len(b.frames))
	for at, l := range b.frames {
		all[at] = l.durable || at.seq <= b.acked[at.run]
	}
	return all
}

// readings counts those of the frames first..last of a run; whole is false if
// one of them was never seen.
func (b *books) readings(run id.Run, first, last uint64) (n uint64, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for seq := first; seq <= last; seq++ {
		l := b.frames[frameKey{run, seq}]
		if l == nil {
			return n, false
		}
		f, err := wire.ParseFrame(l.body)
		if err != nil {
			return n, false
		}
		for _, x := range f.Blocks {
			n += uint64(x.N * b.columns[sidKey{run, x.SID}])
		}
	}
	return n, true
}
