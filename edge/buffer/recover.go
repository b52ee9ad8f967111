package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// found is what recovery reads of a run.
type found struct {
	run  *run
	rec  record
	dead [][]byte // keys of segments that others cover
}

// recover reads the store, plans what a crash left to do and begins a run.
func (b *Buffer) recover() error {
	p := newPlanner()
	if err := b.recoverMeta(p); err != nil {
		return err
	}
	runs, err := b.recoverRuns()
	if err != nil {
		return err
	}
	if err := b.recoverSegments(runs); err != nil {
		return err
	}
	if err := b.recoverGone(p, runs); err != nil {
		return err
	}
	if err := b.recoverQuarantine(); err != nil {
		return err
	}
	if err := b.recoverBudget(); err != nil {
		return err
	}
	ordered := make([]*found, 0, len(runs))
	for _, f := range runs {
		ordered = append(ordered, f)
	}
	slices.SortFunc(ordered, func(x, y *found) int {
		return cmp.Or(cmp.Compare(x.rec.ordinal, y.rec.ordinal), slices.Compare(x.run.id[:], y.run.id[:]))
	})
	for _, f := range ordered {
		b.settleRun(p, f)
	}
	if err := b.forget(p); err != nil {
		return err
	}
	names, err := b.newRuns()
	if err != nil {
		return err
	}
	b.core.count.safe = b.core.count.recovered
	for i, class := range classes {
		p.open(b.core.begin(class, names[i]))
	}
	return b.perform(p.plan())
}

// recoverMeta checks the format and notes the board.
func (b *Buffer) recoverMeta(p *planner) error {
	want := appendMeta(nil, b.cfg.Board)
	value, err := b.get(metaKey())
	switch {
	case errors.Is(err, ErrNotFound):
	case errors.Is(err, errCorrupt):
		b.log.Error("buffer: the store's head is damaged; it is written anew", "error", err)
	case err != nil:
		return err
	case len(value) == 0 || value[0] != formatVersion:
		return fmt.Errorf("the store has format %x, this program reads %d", value[:min(1, len(value))], formatVersion)
	case string(value) == string(want):
		return nil
	default:
		b.log.Warn("buffer: the store was written on another board", "was", fmt.Sprintf("%x", value[1:]), "is", b.cfg.Board.String())
	}
	p.room(1, len(want), len(want))
	p.put(metaKey(), want)
	return nil
}

// recoverRuns reads the runs' records; a damaged one counts as missing.
func (b *Buffer) recoverRuns() (map[id.Run]*found, error) {
	var names []id.Run
	err := b.store.Scan([]byte{keyRun}, func(key []byte, _ int64) error {
		if len(key) == runKeyLen {
			names = append(names, id.Run(key[1:]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scan runs: %w", err)
	}
	runs := map[id.Run]*found{}
	for _, name := range names {
		value, err := b.get(runKey(name))
		var rec record
		if err == nil {
			rec, err = parseRecord(value)
		}
		if err != nil && !errors.Is(err, errCorrupt) {
			return nil, fmt.Errorf("run %s: %w", name, err)
		}
		if err != nil {
			b.log.Error("buffer: a run's record is damaged; its segments say what it holds", "run", name.String(), "error", err)
			rec = b.guess(name)
		}
		runs[name] = &found{run: &run{id: name}, rec: rec}
	}
	return runs, nil
}

// guess makes the record of a run that has none: its boot stands in its clocks.
func (b *Buffer) guess(name id.Run) record {
	rec := record{class: wire.Telemetry, state: wire.RunOpen, boot: b.cfg.Boot, first: 1}
	if msg, err := b.get(clockKey(name, 1)); err == nil {
		if c, err := wire.ParseClock(msg); err == nil {
			rec.boot = c.Boot
		}
	}
	return rec
}

// recoverSegments reads the index from the keys.
func (b *Buffer) recoverSegments(runs map[id.Run]*found) error {
	return b.store.Scan([]byte{keySegment}, func(key []byte, size int64) error {
		name, class, seg, err := parseSegmentKey(key)
		if err != nil {
			b.log.Error("buffer: a segment's key is damaged", "error", err)
			return nil
		}
		f := runs[name]
		if f == nil {
			b.log.Error("buffer: segments without a run; they count as unclean", "run", name.String())
			f = &found{run: &run{id: name}, rec: b.guess(name)}
			runs[name] = f
		}
		if f.rec.ordinal == 0 && len(f.run.segs) == 0 {
			f.rec.first, f.rec.class = seg.first, class // a guessed record takes what there is
		}
		if n := len(f.run.segs); n > 0 && seg.first <= f.run.segs[n-1].last {
			f.dead = append(f.dead, append([]byte(nil), key...))
			return nil
		}
		seg.bytes = size
		f.run.segs = append(f.run.segs, seg)
		return nil
	})
}

// settleRun makes a run of what was found, and plans gaps for what is missing.
func (b *Buffer) settleRun(p *planner, f *found) {
	r, rec := f.run, f.rec
	r.ordinal, r.class, r.boot, r.state, r.sealed = rec.ordinal, rec.class, rec.boot, rec.state, true
	if n := len(r.segs); n > 0 {
		rec.last = max(rec.last, r.segs[n-1].last)
	}
	if rec.state == wire.RunOpen {
		r.state, rec.state = wire.RunUnclean, wire.RunUnclean
		b.log.Warn("buffer: a run was not closed; what was not committed is lost", "run", r.id.String(), "last", rec.last)
	}
	b.fillHoles(p, f, &rec)
	for _, key := range f.dead {
		p.room(1, len(key)+indexEntry, 0)
		p.cur.Delete(key)
	}
	r.committed, r.next, r.inherited = rec.last, rec.last+1, true
	r.acked = r.first() - 1
	for i := range r.segs {
		b.core.of(r).live += r.segs[i].bytes
		b.core.count.recovered += r.segs[i].held()
	}
	b.core.runs = append(b.core.runs, r)
	if rec.state != f.rec.state || r.first() != f.rec.first || rec.last != f.rec.last {
		p.room(0, 0, 0)
		p.touch(r.id, r.record())
	}
}

// fillHoles puts gaps where sequences are missing between rec.first and
// rec.last.
func (b *Buffer) fillHoles(p *planner, f *found, rec *record) {
	var segs []segment
	next := rec.first
	hole := func(last uint64, tFirst, tLast int64) {
		gap := newGap(f.run.id, wire.GapCorrupt, next, last, 0, tFirst, tLast)
		segs = append(segs, p.segment(f.run, []item{gap}, wire.ItemSize(len(gap.msg))))
		b.core.drop(f.run, DropCorrupt, 0)
		b.log.Error("buffer: segments are missing; a gap takes their place", "run", f.run.id.String(), "first", next, "last", last)
	}
	var t int64
	for _, s := range f.run.segs {
		if s.first < next { // before the record's first: acked, and its deletion lost
			f.dead = append(f.dead, f.run.key(&s))
			continue
		}
		if s.first > next {
			hole(s.first-1, t, s.tFirst)
		}
		segs = append(segs, s)
		next, t = s.last+1, s.tLast
	}
	if next <= rec.last {
		hole(rec.last, t, t)
	}
	f.run.segs = segs
}

// forget takes runs without frames out of the store while there are more than
// a hello can name: a gateway that starts over and over without a link.
func (b *Buffer) forget(p *planner) error {
	excess := len(b.core.runs) + len(classes) - wire.MaxRuns
	for _, r := range slices.Clone(b.core.runs) {
		if excess <= 0 {
			break
		}
		if len(r.segs) > 0 {
			continue
		}
		keys, err := b.keysOf(r)
		if err != nil {
			return err
		}
		p.remove(&b.core, r, keys)
		b.core.removed(r)
		excess--
		b.log.Warn("buffer: too many runs; one without frames is forgotten", "run", r.id.String())
	}
	return nil
}

// recoverQuarantine lists what is in quarantine.
func (b *Buffer) recoverQuarantine() error {
	return b.store.Scan([]byte{keyQuarantine}, func(key []byte, _ int64) error {
		b.core.quarantine = append(b.core.quarantine, append([]byte(nil), key...))
		return nil
	})
}
