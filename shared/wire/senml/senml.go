// Package senml says in SenML JSON (RFC 8428) what messages of a lane hold: it
// is for people and other programs that look at frames, not for the data's way
// to the cloud. A Converter takes schemas, clocks and frames in their order and
// returns the readings as resolved records (RFC 8428, 4.6): each has its whole
// name and its time. Dump does that for a file of messages.
//
// It decides nothing about runs: a frame that occurs twice is converted twice.
package senml

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Record is one reading. Exactly one of the values is set. The last two fields
// are ours; a reader that does not know them ignores them (RFC 8428, 4.4).
type Record struct {
	Name  string      `json:"n"` // site/device/point
	Unit  string      `json:"u,omitempty"`
	Time  json.Number `json:"t"` // seconds of UTC since 1970, to the microsecond
	Value *float64    `json:"v,omitempty"`
	Text  *string     `json:"vs,omitempty"`
	Bool  *bool       `json:"vb,omitempty"`

	Quality string `json:"quality,omitempty"` // unless it is good
	Clock   string `json:"clock,omitempty"`   // "estimated": no clock was ever synchronised
}

// Converter knows the schemas and clocks of the messages before. The zero value
// knows none and is ready.
type Converter struct {
	series map[seriesKey]*series
	clocks map[clockKey]wire.Clock
	unpack wire.Unpacker
	frame  wire.Frame
	rows   wire.Rows
	Counts Counts
}

// Counts is what the messages held. All is readings, but the first two.
type Counts struct {
	Frames    int
	Skipped   int    // messages of optional kinds that are not known here
	Readings  int    // that became records
	Bad       int    // without a value: their reading failed
	Lost      uint64 // that gaps say will never come
	Estimated int    // whose clock was never synchronised
}

type seriesKey struct {
	run id.Run
	sid uint32
}

type clockKey struct {
	run id.Run
	clk uint32
}

type series struct {
	device id.Device
	hash   id.Schema
	names  []string // of the columns, with site and device
	body   wire.Body
	shape  wire.Shape
	grid   uint64
}

// Take adds the records of one message to dst. What a message before should
// have said and did not, and what is malformed, is an error that names it; then
// dst comes back as it was.
func (c *Converter) Take(dst []Record, msg []byte) ([]Record, error) {
	kind, err := wire.Peek(msg)
	if err != nil {
		return dst, err
	}
	switch {
	case kind.IsFrame():
		return c.takeFrame(dst, msg)
	case kind == wire.KindSchema:
		return dst, c.takeSchema(msg)
	case kind == wire.KindClock:
		m, err := wire.ParseClock(msg)
		if err != nil {
			return dst, err
		}
		if c.clocks == nil {
			c.clocks = make(map[clockKey]wire.Clock)
		}
		key := clockKey{m.Run, m.Clk}
		if had, ok := c.clocks[key]; ok && had != m {
			return dst, fmt.Errorf("clock %d of run %s is defined otherwise before", m.Clk, m.Run)
		}
		c.clocks[key] = m
	case kind == wire.KindGap:
		m, err := wire.ParseGap(msg)
		if err != nil {
			return dst, err
		}
		c.Counts.Lost += m.Readings
	case kind == wire.KindLane:
	case kind.Optional():
		c.Counts.Skipped++
	default:
		return dst, fmt.Errorf("%s: want what a lane carries: schema, clock, frame or gap", kind)
	}
	return dst, nil
}

func (c *Converter) takeSchema(msg []byte) error {
	m, err := wire.ParseSchema(msg)
	if err != nil {
		return err
	}
	key := seriesKey{m.Run, m.SID}
	if had, ok := c.series[key]; ok {
		if had.device != m.Device || had.hash != m.Hash || had.grid != m.Grid {
			return fmt.Errorf("schema %d of run %s is defined otherwise before", m.SID, m.Run)
		}
		return nil
	}
	s := &series{device: m.Device, hash: m.Hash, grid: m.Grid}
	if s.body, err = wire.ParseBody(m.Body); err != nil {
		return err
	}
	s.shape = wire.ShapeOf(s.body.Columns)
	for i := range s.body.Columns {
		s.names = append(s.names, m.Device.String()+"/"+string(s.body.Columns[i].Point))
	}
	if c.series == nil {
		c.series = make(map[seriesKey]*series)
	}
	c.series[key] = s
	return nil
}

func (c *Converter) takeFrame(dst []Record, msg []byte) ([]Record, error) {
	f := &c.frame
	if err := c.unpack.Parse(f, msg); err != nil {
		return dst, err
	}
	clock, ok := c.clocks[clockKey{f.Run, f.Clk}]
	if !ok {
		return dst, fmt.Errorf("frame %d of run %s: no clock %d of the run before it", f.Seq, f.Run, f.Clk)
	}
	out, before := dst, c.Counts
	for i := range f.Blocks {
		blk := &f.Blocks[i]
		s, ok := c.series[seriesKey{f.Run, blk.SID}]
		err := fmt.Errorf("no schema %d of the run before it", blk.SID)
		if ok {
			first := wire.FirstTick(f.T0, blk.DT0, s.body.Tick)
			if err = wire.ParseColumns(blk.Data, blk.N, s.shape, s.grid, first, &c.rows); err == nil {
				err = c.checkTimes(s, &clock)
			}
		}
		if err != nil {
			c.Counts = before
			return dst, fmt.Errorf("frame %d of run %s: %w", f.Seq, f.Run, err)
		}
		out = c.records(out, s, &clock)
	}
	c.Counts.Frames++
	return out, nil
}

// maxSpan bounds a time in nanoseconds, and maxUTC0 a boot's zero in
// microseconds: what lies beyond is no time of any gateway, and would overflow.
const (
	maxSpan = math.MaxInt64 / 2
	maxUTC0 = math.MaxInt64 / 2
)

// checkTimes refuses rows whose times are beyond any boot.
func (c *Converter) checkTimes(s *series, clock *wire.Clock) error {
	if clock.UTC0 < -maxUTC0 || clock.UTC0 > maxUTC0 {
		return fmt.Errorf("utc0 of %d us is no time", clock.UTC0)
	}
	bound := int64(maxSpan / s.body.Tick)
	for _, t := range c.rows.T {
		if t < -bound || t > bound {
			return fmt.Errorf("a row at tick %d of %d ns is beyond any boot", t, s.body.Tick)
		}
	}
	return nil
}

// records adds the readings of the rows, row by row.
func (c *Converter) records(dst []Record, s *series, clock *wire.Clock) []Record {
	for row, tick := range c.rows.T {
		at := seconds(clock.UTC0 + tick*int64(s.body.Tick)/1000)
		for i := range s.body.Columns {
			q := wire.QualityOf(c.rows.Q[row], i)
			if q == wire.Bad {
				c.Counts.Bad++
				continue
			}
			r := Record{Name: s.names[i], Unit: s.body.Columns[i].Unit, Time: at}
			r.set(s.body.Columns[i], &c.rows, i, row)
			if q != wire.Good {
				r.Quality = q.String()
			}
			if clock.Source == wire.ClockNone {
				r.Clock = "estimated"
				c.Counts.Estimated++
			}
			c.Counts.Readings++
			dst = append(dst, r)
		}
	}
	return dst
}

// set gives the record the value of a column in a row.
func (r *Record) set(col wire.Column, rows *wire.Rows, i, row int) {
	switch v := rows.V[i][row]; col.Kind {
	case wire.KindBoolean:
		on := v != 0
		r.Bool = &on
	case wire.KindText:
		text := rows.Texts[i][v]
		r.Text = &text
	default:
		x := col.Float(v)
		r.Value = &x
	}
}

// seconds writes microseconds as a decimal number of seconds.
func seconds(micros int64) json.Number {
	const million = 1_000_000
	sign, size := "", uint64(micros)
	if micros < 0 {
		sign, size = "-", -size
	}
	whole, part := size/million, size%million
	if part == 0 {
		return json.Number(sign + strconv.FormatUint(whole, 10))
	}
	return json.Number(fmt.Sprintf("%s%d.%06d", sign, whole, part))
}
