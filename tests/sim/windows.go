package sim

import (
	"cmp"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/wire"
)

// What shared/pipeline's DESIGN.md says of time, in microseconds: how long
// after its end a window waits for a tick, and how far ahead and behind a row may
// lie: a board whose clock had no battery is thirty years behind.
const (
	windowGrace     = 5_000_000
	futureTolerance = 300_000_000
	tooLate         = 8 * 24 * 3600 * 1_000_000
)

// summary is what a window's rows say together.
type summary struct {
	count           uint64
	sum, min, max   float64
	first, last     float64
	firstAt, lastAt int64
}

// reader is a revision of a pipeline that reads one device: its rows by the
// start of their windows.
type reader struct {
	revision uint64
	every    int64
	rows     map[int64][]sample
	newest   int64 // start of the newest window that has a row
	closed   int64 // end of the newest window that was closed without a row behind it
}

// leave closes the open window, as a device's last row is followed by none.
func (p *reader) leave() { p.closed = p.newest + p.every }

type sample struct {
	at    int64
	value float64
}

// readerKey names a pipeline and a device.
type readerKey struct {
	pipeline docName
	device   string
}

// frameKey is the identity of a frame.
type frameKey struct {
	run id.Run
	seq uint64
}

// rewind goes through the logs as the pipelines' rules say (shared/pipeline,
// DESIGN.md), in the plainest way: all rows that history holds are sorted into
// their windows, and a window counts if something closed it.
type rewind struct {
	s       *Sim
	frames  map[frameKey][]history.Row
	force   map[docName]journal.Document
	readers map[readerKey]*reader
	want    map[windowKey][]sample
	now     int64
}

// checkWindows compares the merged windows with those that the rows give.
func (s *Sim) checkWindows(tally *Tally) {
	rows, _ := s.cloud.history.all()
	r := &rewind{
		s: s, frames: map[frameKey][]history.Row{}, force: map[docName]journal.Document{},
		readers: map[readerKey]*reader{}, want: map[windowKey][]sample{},
	}
	for _, row := range rows {
		key := frameKey{row.Run, row.Seq}
		r.frames[key] = append(r.frames[key], row)
	}
	_, logs := s.tap.known()
	for _, log := range logs {
		r.now = 0
		for i := range log {
			r.now = max(r.now, log[i].Time.UnixMicro())
			for j := range log[i].Records {
				r.record(&log[i].Records[j])
			}
		}
	}
	for _, key := range slices.Collect(maps.Keys(r.readers)) {
		r.end(key)
	}
	parts, alarms := s.cloud.history.stages()
	tally.Alarms += len(alarms)
	s.compareWindows(r.want, parts, tally)
}

func (r *rewind) record(rec *journal.Record) {
	switch rec.Kind {
	case journal.KindFrame:
		if run, seq, _, err := wire.PeekSeq(rec.Body); err == nil {
			key := frameKey{run, seq}
			for i := range r.frames[key] {
				r.block(&r.frames[key][i])
			}
			delete(r.frames, key)
		}
	case journal.KindTick:
		for key, p := range r.readers {
			if end := p.newest + p.every; key.pipeline.site == rec.Site && end+windowGrace <= r.now {
				p.leave()
			}
		}
	case journal.KindDocument:
		if d, err := journal.ParseDocument(rec.Body); err == nil {
			r.document(rec.Site, d)
		}
	}
}

// document takes a document: only a later revision counts, and only what is
// there can go. Who is read no more gives out the window that is open.
func (r *rewind) document(site id.Site, d journal.Document) {
	name := docName{site, document.Kind(d.Kind), d.Name}
	had, ok := r.force[name]
	switch {
	case d.Deleted && ok && d.Revision >= had.Revision:
		delete(r.force, name)
	case !d.Deleted && d.Revision > had.Revision:
		r.force[name] = d
	default:
		return
	}
	for key, p := range r.readers {
		switch {
		case key.pipeline.site != site:
		case r.force[key.pipeline].Revision != p.revision:
			p.leave()
			r.end(key)
		case !r.reads(key):
			p.leave()
		}
	}
}

// reads reports whether a pipeline in force reads a device.
func (r *rewind) reads(key readerKey) bool {
	if !specOf(key.pipeline.name, 0).rooms {
		return true
	}
	hall := docName{key.pipeline.site, document.Room, "hall"}
	desk := docName{key.pipeline.site, document.Room, "hall/desk"}
	if _, ok := r.force[hall]; !ok {
		return false
	}
	for _, room := range []docName{hall, desk} {
		if d, ok := r.force[room]; ok && slices.Contains(r.s.devicesOf(room, versionOf(d.Text)), key.device) {
			return true
		}
	}
	return false
}

// block gives the rows of a block to the pipelines that read its device.
func (r *rewind) block(row *history.Row) {
	samples := slices.DeleteFunc(r.s.counts(row), func(x sample) bool { return x.at < r.now-tooLate })
	if len(samples) == 0 {
		return
	}
	for name, d := range r.force {
		key := readerKey{name, row.Device.Name}
		if name.site != row.Device.Site || name.kind != document.Pipeline || !r.reads(key) {
			continue
		}
		of := specOf(name.name, versionOf(d.Text))
		if of.every == 0 {
			continue
		}
		p := r.readers[key]
		if p == nil {
			p = &reader{revision: d.Revision, every: of.every, rows: map[int64][]sample{}}
			r.readers[key] = p
		}
		for _, x := range samples {
			if of.even {
				if int64(x.value)%2 != 0 {
					continue
				}
				x.value /= 2
			}
			start := x.at - x.at%of.every
			p.rows[start] = append(p.rows[start], x)
			p.newest = max(p.newest, start)
		}
	}
}

// end forgets a reader. What it had closed counts: all but the newest window,
// and that too if it was left.
func (r *rewind) end(key readerKey) {
	p := r.readers[key]
	delete(r.readers, key)
	for start, rows := range p.rows {
		if start < p.newest || start+p.every <= p.closed {
			at := windowKey{site: key.pipeline.site, pipeline: key.pipeline.name, revision: p.revision, device: key.device, start: start}
			r.want[at] = append(r.want[at], rows...)
		}
	}
}

// counts decodes the good rows of a counter's block. A time that is too far
// ahead of its arrival is that.
func (s *Sim) counts(row *history.Row) (all []sample) {
	body, err := wire.ParseBody(s.cloud.history.series[seriesKey{row.Device, row.Schema}])
	if err != nil || len(body.Columns) == 0 || body.Columns[0].Point != "count" {
		return nil
	}
	var rows wire.Rows
	if err := wire.ParseColumns(row.Data, row.N, wire.ShapeOf(body.Columns), row.Grid, row.First, &rows); err != nil {
		return nil
	}
	for i, t := range rows.T {
		if wire.QualityOf(rows.Q[i], 0) != wire.Good {
			continue
		}
		at := row.UTC0 + t*int64(body.Tick)/1000
		if at > row.Received+futureTolerance {
			at = row.Received
		}
		all = append(all, sample{at, body.Columns[0].Float(rows.V[0][i])})
	}
	return all
}

// compareWindows merges the parts as a reader of history does.
func (s *Sim) compareWindows(want map[windowKey][]sample, parts map[partKey]history.Window, tally *Tally) {
	got := map[windowKey]pipeline.Partial{}
	for key, part := range parts {
		at := key.windowKey
		at.stage = 0 // a pipeline has one window at most
		sum := got[at]
		sum.Merge(part.Part)
		got[at] = sum
		if key.seq != 0 {
			tally.LateParts++
		}
	}
	tally.Windows += len(got)
	for at, rows := range want {
		w := got[at]
		have := summary{w.Count, w.Sum, w.Min, w.Max, w.First, w.Last, w.FirstAt, w.LastAt}
		if sum := sumUp(rows); sum != have {
			s.trace.complain("windows", "%+v: history merges to %+v, its rows give %+v", at, have, sum)
		}
		delete(got, at)
	}
	for at, w := range got {
		s.trace.complain("windows", "%+v: history has %+v, and no rows that a closed window had", at, w)
	}
}

// sumUp is what rows say together. They are whole numbers and halves, so that
// the sum is exact.
func sumUp(rows []sample) summary {
	sorted := slices.SortedFunc(slices.Values(rows), func(a, b sample) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.value, b.value)) })
	first, last := sorted[0], sorted[len(sorted)-1]
	sum := summary{
		count: uint64(len(rows)), min: first.value, max: first.value,
		first: first.value, firstAt: first.at, last: last.value, lastAt: last.at,
	}
	for _, x := range rows {
		sum.sum += x.value
		sum.min, sum.max = min(sum.min, x.value), max(sum.max, x.value)
	}
	return sum
}
