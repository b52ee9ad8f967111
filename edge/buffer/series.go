package buffer

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// maxSeries bounds the series that a process ever registers: a reload that
// changes a profile adds some, and nothing reloads that often.
const maxSeries = 4 * wire.MaxDevices

// Series takes the rows of one series of one device. It is safe for concurrent
// use.
type Series struct {
	b      *Buffer
	class  wire.Class
	device id.Device
	hash   id.Schema
	body   []byte
	digest [32]byte
	grid   uint64
	tick   uint64
	width  int
	kinds  []wire.ColumnKind

	// Guarded by b.mu: the rows of the open frame, and a window on them.
	rows   wire.Rows
	window wire.Rows
}

// seriesKey says when two registrations are the same series: then the schema
// message would be the same.
type seriesKey struct {
	class  wire.Class
	device id.Device
	hash   id.Schema
	digest [32]byte
	grid   uint64
}

// Series returns the series of a device with these columns. digest is the
// profile's, grid the expected spacing of rows in ticks, 0 if unknown. A body
// that is not valid (wire.ParseBody) is refused. Registering the same again
// returns the same Series; any difference makes a new one with a sid of its
// own, as a sid is never redefined.
func (b *Buffer) Series(dev id.Device, body wire.Body, digest [32]byte, grid uint64) (*Series, error) {
	return b.register(wire.Telemetry, dev, body, digest, grid)
}

// EventSeries is Series for rows that are events: each is a frame of its own in
// the run of events, is committed at once with all that was sampled before it,
// and counts against the limit of events. Events have no expected spacing.
func (b *Buffer) EventSeries(dev id.Device, body wire.Body, digest [32]byte) (*Series, error) {
	return b.register(wire.Events, dev, body, digest, 0)
}

func (b *Buffer) register(class wire.Class, dev id.Device, body wire.Body, digest [32]byte, grid uint64) (*Series, error) {
	enc := body.Append(nil)
	if _, err := wire.ParseBody(enc); err != nil {
		return nil, fmt.Errorf("buffer: series of %s: %w", dev, err)
	}
	key := seriesKey{class, dev, wire.HashBody(enc), digest, grid}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	if s, ok := b.series[key]; ok {
		return s, nil
	}
	if len(b.series) >= maxSeries {
		return nil, fmt.Errorf("buffer: series of %s: more than %d series since the start", dev, maxSeries)
	}
	s := &Series{b: b, class: class, device: dev, hash: key.hash, body: enc, digest: digest, grid: grid, tick: body.Tick, width: len(body.Columns)}
	for i := range body.Columns {
		s.kinds = append(s.kinds, body.Columns[i].Kind)
	}
	b.series[key] = s
	return s, nil
}

// Append adds a row: its time in ticks since boot, its quality and a value for
// each column, which it copies. suppressed is the number of rows that the
// sampler has withheld since the last Append. It returns ErrClosed after Seal
// or Close, and an error for a row that a gate would reject with its frame: of
// another width, of a text, or with a float that is no number. It never waits
// for storage.
func (s *Series) Append(tick int64, q uint64, v []int64, suppressed int) error {
	if len(v) != s.width {
		return fmt.Errorf("buffer: append: row of %d values for the %d columns of %s", len(v), s.width, s.device)
	}
	for i, kind := range s.kinds {
		if kind == wire.KindText {
			return fmt.Errorf("buffer: append: column %d of %s is a text: want AppendText", i, s.device)
		}
		if x := math.Float64frombits(uint64(v[i])); kind == wire.KindFloat && (math.IsNaN(x) || math.IsInf(x, 0)) {
			return fmt.Errorf("buffer: append: column %d of %s is %v", i, s.device, x)
		}
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.appendLocked(tick, q, v, suppressed)
}

// AppendText is Append for a series of one text column; a text is cut at
// wire.MaxString bytes, and made valid UTF-8.
func (s *Series) AppendText(tick int64, text string) error {
	if s.width != 1 || s.kinds[0] != wire.KindText {
		return fmt.Errorf("buffer: append: a text for the %d columns of %s", s.width, s.device)
	}
	text = strings.ToValidUTF8(text[:min(len(text), wire.MaxString)], "")
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	v, ok := s.rows.Text(0, text)
	if !ok {
		s.b.cutLocked(s.b.core.class(s.class))
		v, _ = s.rows.Text(0, text)
	}
	return s.appendLocked(tick, 0, []int64{v}, 0)
}

func (s *Series) appendLocked(tick int64, q uint64, v []int64, suppressed int) error {
	b := s.b
	if b.closed || b.sealed {
		return ErrClosed
	}
	in := b.core.class(s.class)
	f := &in.frame
	if s.rows.Len() == 0 {
		if len(f.series) == wire.MaxBlocks {
			b.cutLocked(in)
		}
		f.series = append(f.series, s)
	}
	if f.rows == 0 {
		f.since = b.cfg.Now()
		wake(b.cutWake)
	}
	s.rows.Append(tick, q, v)
	f.rows++
	f.values += s.width + 2
	f.suppressed += uint64(max(suppressed, 0))
	b.core.count.sampled += uint64(s.width)
	b.core.count.suppressed += uint64(max(suppressed, 0))
	if s.class == wire.Events || f.full() {
		b.cutLocked(in)
	}
	return nil
}

// view returns the rows from to, valid until the next call.
func (s *Series) view(from, to int) *wire.Rows {
	w := &s.window
	w.T, w.Q, w.V, w.Texts = s.rows.T[from:to], s.rows.Q[from:to], w.V[:0], s.rows.Texts
	for i := range s.rows.V {
		w.V = append(w.V, s.rows.V[i][from:to])
	}
	return w
}

// millis returns a tick in milliseconds since boot, rounded down.
func millis(ticks int64, tick uint64) int64 {
	const nanos = 1_000_000
	size := uint64(ticks)
	if ticks < 0 {
		size = -size
	}
	hi, lo := bits.Mul64(size, tick)
	if hi >= nanos {
		return math.MaxInt64 // beyond any clock
	}
	q, rest := bits.Div64(hi, lo, nanos)
	if q >= math.MaxInt64 {
		return math.MaxInt64
	}
	if ticks >= 0 {
		return int64(q)
	}
	if rest > 0 {
		q++
	}
	return -int64(q)
}
