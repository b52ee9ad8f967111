package sim

import (
	"maps"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// backup is what the cloud knew at some moment: its journal's store, and the
// history that was made of it.
type backup struct {
	store   journaltest.Image
	history *records
}

// backup copies the store and then history, which is never ahead of it.
func (c *cloud) backup() backup {
	for {
		b := backup{c.mem.Copy(), c.history.copy()}
		ahead := false
		for i := range c.cfg.Shards {
			ahead = ahead || b.history.positions[i] > b.store.Last(i)
		}
		if !ahead {
			return b
		}
	}
}

// restoreCloud puts the cloud back to a backup; the next node to start begins an
// incarnation, as one does whose folder atrium-cloud restore has marked. What it had acked since is
// gone, and whoever sent it may hold it no more.
func (s *Sim) restoreCloud(b backup) {
	s.tap.rollBack(b.store, func() {
		s.cloud.powerCut()
		s.cloud.mem.Put(b.store)
		s.cloud.history.put(b.history)
		s.cloud.restored.Store(true)
	})
}

// copy returns what history holds.
func (h *records) copy() *records {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &records{
		positions: maps.Clone(h.positions), rows: maps.Clone(h.rows), ledger: maps.Clone(h.ledger), dead: maps.Clone(h.dead),
		series: maps.Clone(h.series), windows: maps.Clone(h.windows), alarms: maps.Clone(h.alarms),
	}
}

// put leaves what copy had returned, once.
func (h *records) put(b *records) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.positions, h.rows, h.ledger, h.dead, h.series, h.windows, h.alarms = b.positions, b.rows, b.ledger, b.dead, b.series, b.windows, b.alarms
}

// rolledBack is what a tap remembers of the logs before they were put back.
type rolledBack struct {
	times   int
	frames  map[frameKey]bool // and gaps, by each of their sequences
	durable map[id.Run]uint64 // acks up to here may still be on their way
}

// rollBack puts the store back, and the tap with it: what it reads from now on
// follows what the image holds.
func (t *tap) rollBack(image journaltest.Image, put func()) {
	t.reopen.Lock()
	defer t.reopen.Unlock()
	put()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rolled.times++
	maps.Copy(t.rolled.durable, t.durable)
	logs := t.logs
	t.logs, t.barrier = make([][]journal.Message, len(logs)), make([]journal.Barrier, len(logs))
	t.durable, t.ahead, t.runs, t.order = map[id.Run]uint64{}, map[id.Run]map[uint64]uint64{}, map[id.Run]bool{}, nil
	clear(t.deposed)
	for shard, log := range logs {
		kept := int(image.Last(shard))
		for _, m := range log[:kept] {
			t.takeLocked(shard, m)
		}
		for _, m := range log[kept:] {
			for i := range m.Records {
				t.rolled.record(&m.Records[i])
			}
		}
	}
}

func (r *rolledBack) record(rec *journal.Record) {
	if rec.Kind != journal.KindFrame && rec.Kind != journal.KindGap {
		return
	}
	if run, first, last, err := wire.PeekSeq(rec.Body); err == nil {
		for seq := first; seq <= last; seq++ {
			r.frames[frameKey{run, seq}] = true
		}
	}
}

// lives counts the times that the logs were put back.
func (t *tap) lives() int { t.mu.Lock(); defer t.mu.Unlock(); return t.rolled.times }

// forgot says whether a log held a frame before it was put back.
func (t *tap) forgot(at frameKey) bool { t.mu.Lock(); defer t.mu.Unlock(); return t.rolled.frames[at] }
