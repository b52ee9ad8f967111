package buffer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Item is a frame or gap message to send. Its bytes are shared and must not be
// changed; they stay valid.
type Item struct {
	// Before are schema and clock messages that the frame needs and that this
	// cursor has not returned yet.
	Before      [][]byte
	Frame       []byte
	First, Last uint64 // equal for a frame
}

// Cursor reads one run in order for one connection. Next is for one goroutine;
// Rewind may be called beside it.
type Cursor struct {
	b   *Buffer
	run *run // nil for a run that is not held

	// Guarded by b.mu.
	pos     uint64
	rewinds uint64
	schemas map[uint32]bool // returned since the start or the last resend
	clocks  map[uint32]bool

	// Of Next alone: the segment read last.
	items   []item
	version uint64
}

// Cursor returns a cursor at the first unacked sequence of a run. For a run
// that the buffer does not hold, Next returns io.EOF.
func (b *Buffer) Cursor(name id.Run) *Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &Cursor{b: b, run: b.core.run(name), schemas: map[uint32]bool{}, clocks: map[uint32]bool{}}
	if c.run != nil {
		c.pos = c.run.acked + 1
	}
	return c
}

// Rewind makes seq the next sequence; what is acked is never returned again.
// With resend the schemas and clocks are returned again before their next use.
func (c *Cursor) Rewind(seq uint64, resend bool) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.pos = max(seq, 1)
	c.rewinds++
	if resend {
		clear(c.schemas)
		clear(c.clocks)
	}
	c.b.notifyLocked()
}

// look is what a cursor finds at its position.
type look struct {
	it      *item // ready to go
	seg     *segment
	wait    chan struct{}
	rewinds uint64
	version uint64
}

// Next returns the item at the cursor's position and moves past it. It waits
// for one to come; it returns io.EOF after the last item of a run that is
// closed, ErrClosed once the buffer is closed, and the store's error if a
// segment cannot be read for now. Segments that are damaged become gaps here.
func (c *Cursor) Next(ctx context.Context) (Item, error) {
	if c.run == nil {
		return Item{}, io.EOF
	}
	for {
		l, err := c.look()
		if err != nil {
			return Item{}, err
		}
		switch {
		case l.wait != nil:
			select {
			case <-ctx.Done():
				return Item{}, context.Cause(ctx)
			case <-l.wait:
			}
		case l.seg != nil:
			if err := c.load(l); err != nil {
				return Item{}, fmt.Errorf("buffer: read: %w", err)
			}
		default:
			out, ok, err := c.hand(l)
			if err != nil {
				return Item{}, fmt.Errorf("buffer: read: %w", err)
			}
			if ok {
				return out, nil
			}
		}
	}
}

// look finds the item at the cursor, the segment to read for it, or what to
// wait for.
func (c *Cursor) look() (look, error) {
	b, r := c.b, c.run
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return look{}, ErrClosed
	}
	c.pos = max(c.pos, r.acked+1)
	l := look{rewinds: c.rewinds, version: b.core.version}
	if i := r.segmentOf(c.pos); i >= 0 {
		if c.version == l.version {
			for k := range c.items {
				if it := &c.items[k]; it.first <= c.pos && c.pos <= it.last {
					l.it = it
					return l, nil
				}
			}
		}
		seg := r.segs[i]
		l.seg = &seg
		return l, nil
	}
	c.items = nil // the uplink keeps cursors to the connection's end
	if it := r.itemOf(c.pos); it != nil && b.cfg.Mode != Always {
		ready := *it
		l.it = &ready
		return l, nil
	}
	if r.sealed && c.pos > r.end() {
		return look{}, io.EOF
	}
	b.waiting = true
	l.wait = b.changed
	return l, nil
}

// load reads a segment into the cursor; a damaged one becomes a gap.
func (c *Cursor) load(l look) error {
	items, err := c.b.readSegment(c.run, l.seg)
	if err == nil {
		c.items, c.version = items, l.version
		return nil
	}
	return c.b.condemn(c.run, l.seg, err)
}

// hand returns an item with what goes before it, and moves on, unless the
// cursor was rewound or the item replaced meanwhile.
func (c *Cursor) hand(l look) (out Item, ok bool, err error) {
	b, r := c.b, c.run
	if err := l.it.parseFrame(); err != nil {
		return out, false, c.condemnItem(l, err)
	}
	var before [][]byte
	need := func(seen map[uint32]bool, n uint32, saved []message, key []byte) error {
		b.mu.Lock()
		known, msg := seen[n], []byte(nil)
		if !known && int(n) <= len(saved) {
			msg = saved[n-1].msg
		}
		b.mu.Unlock()
		if known {
			return nil
		}
		if msg == nil {
			if msg, err = b.get(key); err != nil {
				return err
			}
		}
		before = append(before, msg)
		return nil
	}
	b.mu.Lock()
	clks := r.clksOf(l.it, b.core.clock)
	schemas, clocks := r.schemas, r.clocks
	b.mu.Unlock()
	for _, clk := range clks {
		if err := need(c.clocks, clk, clocks, clockKey(r.id, clk)); err != nil {
			return out, false, c.condemnItem(l, err)
		}
	}
	for _, sid := range l.it.sids {
		if err := need(c.schemas, sid, schemas, schemaKey(r.id, sid)); err != nil {
			return out, false, c.condemnItem(l, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.rewinds != l.rewinds || b.core.version != l.version || c.pos <= r.acked {
		return out, false, nil
	}
	for _, clk := range clks {
		c.clocks[clk] = true
	}
	for _, sid := range l.it.sids {
		c.schemas[sid] = true
	}
	c.pos = l.it.last + 1
	r.handed = max(r.handed, l.it.last)
	return Item{Before: before, Frame: l.it.msg, First: l.it.first, Last: l.it.last}, true, nil
}

// condemnItem gives up the segment of an item that cannot be sent.
func (c *Cursor) condemnItem(l look, cause error) error {
	b := c.b
	b.mu.Lock()
	i := c.run.segmentOf(l.it.first)
	if i < 0 || b.core.version != l.version {
		b.mu.Unlock()
		return nil
	}
	seg := c.run.segs[i]
	b.mu.Unlock()
	return b.condemn(c.run, &seg, cause)
}

// condemn puts a gap in the place of a segment that is damaged or gone, unless
// it was let go meanwhile. Any other cause is returned: the storage may come
// back.
func (b *Buffer) condemn(r *run, seg *segment, cause error) error {
	if !errors.Is(cause, errCorrupt) && !errors.Is(cause, ErrNotFound) {
		return cause
	}
	condemned := false
	err := b.change(func() (*plan, error) {
		if b.closed {
			return nil, ErrClosed
		}
		i := r.segmentOf(seg.first)
		if i < 0 || *seg != r.segs[i] || seg.last <= r.acked {
			return nil, nil
		}
		condemned = true
		return b.core.condemn(r, i), nil
	})
	if err == nil && condemned {
		b.log.Error("buffer: a stored segment is damaged; a gap takes its place",
			"run", r.id.String(), "first", seg.first, "last", seg.last, "readings", seg.readings, "error", cause)
	}
	return err
}

// readSegment reads and checks a segment.
func (b *Buffer) readSegment(r *run, seg *segment) ([]item, error) {
	value, err := b.get(r.key(seg))
	if err != nil {
		return nil, err
	}
	return parseSegment(r.id, seg, value)
}

// get reads a value and checks its CRC. Close waits for it, or it fails.
func (b *Buffer) get(key []byte) ([]byte, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, ErrClosed
	}
	b.running.Add(1)
	b.mu.Unlock()
	defer b.running.Done()
	value, err := b.store.Get(key)
	if err != nil {
		return nil, err
	}
	return unseal(key, value)
}

// measure fills in what a frame that was read back holds. A frame that cannot
// be decoded takes the numbers of its segment if it is alone there.
func (b *Buffer) measure(r *run, it *item, alone bool, seg *segment) {
	if f, err := wire.ParseFrame(it.msg); err == nil {
		it.tFirst, it.tLast = f.T0, f.T0
		var rows wire.Rows
		for i := range f.Blocks {
			if err = b.measureBlock(r, it, &f, &f.Blocks[i], &rows); err != nil {
				break
			}
		}
		if err == nil {
			return
		}
	}
	it.tFirst, it.tLast, it.readings = seg.tFirst, seg.tLast, 0
	if alone {
		it.readings = seg.readings
	}
}

func (b *Buffer) measureBlock(r *run, it *item, f *wire.Frame, blk *wire.Block, rows *wire.Rows) error {
	msg, err := b.get(schemaKey(r.id, blk.SID))
	if err != nil {
		return err
	}
	schema, err := wire.ParseSchema(msg)
	if err != nil {
		return err
	}
	body, err := wire.ParseBody(schema.Body)
	if err != nil {
		return err
	}
	if err := wire.ParseColumns(blk.Data, blk.N, wire.ShapeOf(body.Columns), schema.Grid, wire.FirstTick(f.T0, blk.DT0, body.Tick), rows); err != nil {
		return err
	}
	it.readings += uint64(blk.N) * uint64(len(body.Columns))
	it.tLast = max(it.tLast, millis(rows.T[blk.N-1], body.Tick))
	return nil
}
