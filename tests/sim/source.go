package sim

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// observed is the buffer as the uplink sees it, with an eye on the acks, and
// with memory that flips a bit now and then, which a gate must reject.
type observed struct {
	uplink.Source
	gateway id.Gateway
	tap     *tap
	books   *books

	mu    sync.Mutex
	rng   *rand.Rand
	flips float64 // probability a frame
}

func (o *observed) setFlips(p float64) { o.mu.Lock(); o.flips = p; o.mu.Unlock() }

// Ack implements uplink.Source.
func (o *observed) Ack(run id.Run, seq uint64) {
	o.tap.acked(o.gateway, run, seq)
	o.books.ack(run, seq)
	o.Source.Ack(run, seq)
}

// Cursor implements uplink.Source.
func (o *observed) Cursor(run id.Run) uplink.Cursor { return &flipping{o.Source.Cursor(run), o} }

type flipping struct {
	uplink.Cursor
	o *observed
}

// Next implements uplink.Cursor. Run and sequence of a flipped frame stay
// readable, as the gate must be able to say which it rejects.
func (f *flipping) Next(ctx context.Context) (buffer.Item, error) {
	it, err := f.Cursor.Next(ctx)
	if err != nil {
		return it, err
	}
	f.o.books.sent(it)
	if f.o.spare(it.Frame) {
		return it, nil
	}
	it.Frame = bytes.Clone(it.Frame)
	it.Frame[len(it.Frame)-1] ^= 1 // in the CRC
	return it, nil
}

func (o *observed) spare(msg []byte) bool {
	kind, err := wire.Peek(msg)
	if err != nil || !kind.IsFrame() {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rng.Float64() >= o.flips
}
