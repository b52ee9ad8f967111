package buffer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// A cloud that was restored from a backup knows neither the runs that began
// behind it nor what it acked of them. Those that are held say so by their first
// sequence; of those that have left the store their records stay a while, for
// hello to name them as well (I1).

// maxGone is how many runs hello names after they have left the store. A link
// that fails once an hour leaves one an hour behind, and a day lies between two
// backups; the records take 6 KiB.
const maxGone = 64

// ghost is what stays of a run that has left the store: it ended, is acked to
// that end, and holds nothing.
func ghost(name id.Run, rec *record) *run {
	return &run{
		id: name, ordinal: rec.ordinal, class: rec.class, boot: rec.boot, state: rec.state, sealed: true, retired: true, inherited: true,
		committed: rec.last, next: rec.last + 1, acked: rec.last,
	}
}

// remember plans that a run's record stays when the run goes, at the cost of
// the one that went first.
func (p *planner) remember(c *core, r *run) {
	rec := record{ordinal: r.ordinal, class: r.class, state: r.state, boot: r.boot, first: r.end() + 1, last: r.end()}
	p.room(2, recordCost+indexCost(runKeyLen, 0), recordLen)
	if len(c.gone) >= maxGone {
		p.cur.Delete(goneKey(c.gone[0].id))
	}
	p.put(goneKey(r.id), rec.append(nil))
}

// named returns the runs for a hello, which has room for MaxRuns, in the order
// in which they began. Of the held ones the oldest come first, and the rest once
// they have drained; those that are gone take what is left. A full hello does
// not say that anything is gone, so they leave a place.
func (c *core) named() []*run {
	runs := slices.Clone(c.runs)
	if len(runs) > wire.MaxRuns {
		open := func(r *run) bool { return c.of(r).run == r }
		runs = slices.DeleteFunc(runs[:wire.MaxRuns-len(classes)], open)
		for i := range c.in {
			runs = append(runs, c.in[i].run)
		}
	}
	if room := wire.MaxRuns - 1 - len(runs); room > 0 {
		runs = append(runs, c.gone[max(len(c.gone)-room, 0):]...)
	}
	slices.SortStableFunc(runs, func(x, y *run) int { return cmp.Compare(x.ordinal, y.ordinal) })
	return runs
}

// recoverGone reads the records of the runs that are gone. A run that has come
// back with what it holds speaks for itself.
func (b *Buffer) recoverGone(p *planner, runs map[id.Run]*found) error {
	var names []id.Run
	err := b.store.Scan([]byte{keyGone}, func(key []byte, _ int64) error {
		if len(key) == runKeyLen {
			names = append(names, id.Run(key[1:]))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("scan runs that are gone: %w", err)
	}
	for _, name := range names {
		value, err := b.get(goneKey(name))
		var rec record
		if err == nil {
			rec, err = parseRecord(value)
		}
		switch {
		case errors.Is(err, errCorrupt):
			b.log.Warn("buffer: the record of a run that is gone is damaged; a cloud that was restored will not hear of it", "run", name.String(), "error", err)
		case err != nil:
			return fmt.Errorf("run %s: %w", name, err)
		case runs[name] == nil:
			b.core.gone = append(b.core.gone, ghost(name, &rec))
			continue
		}
		p.room(1, indexCost(runKeyLen, 0), 0)
		p.cur.Delete(goneKey(name))
	}
	slices.SortFunc(b.core.gone, func(x, y *run) int {
		return cmp.Or(cmp.Compare(x.ordinal, y.ordinal), bytes.Compare(x.id[:], y.id[:]))
	})
	return nil
}
