package sim

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
)

var errHistoryDown = errors.New("history: the node has crashed")

// rowKey is the identity of a row in the real store.
type rowKey struct {
	device id.Device
	schema id.Schema
	from   int64
	run    id.Run
	seq    uint64
	sid    uint32
}

type seriesKey struct {
	device id.Device
	schema id.Schema
}

// windowKey names a window of a device, and partKey a part of it.
type windowKey struct {
	site     id.Site
	pipeline string
	revision uint64
	device   string
	stage    int
	start    int64
}

type partKey struct {
	windowKey
	run id.Run
	seq uint64
}

// place is where a projection came from.
type place struct {
	shard int
	at    history.At
}

// crashPoint is where a write to history meets a power cut.
type crashPoint uint8

const (
	noCrash     crashPoint = iota
	beforeWrite            // nothing is stored
	tornWrite              // some projections are stored, the position is not
	afterWrite             // all is stored, the caller does not know
)

// records is the double of history.Store: like the real one it fsyncs every
// write with its position, and a write that is too large for one batch stores
// projections before it. It outlives crashes; handles do not.
type records struct {
	trace    *trace
	sabotage func(*history.Projections) // for tests of the checkers

	mu        sync.Mutex
	rng       *rand.Rand
	positions map[int]uint64
	rows      map[rowKey]history.Row
	ledger    map[place]history.Entry
	dead      map[place]history.DeadLetter
	series    map[seriesKey][]byte
	windows   map[partKey]history.Window
	alarms    map[place]history.AlarmEntry
	crashAt   crashPoint
	crash     func() // cuts the node's power
	life      int
}

func newRecords(t *trace, seed uint64) *records {
	return &records{
		trace: t, rng: rand.New(rand.NewPCG(seed, 0x68697374)), positions: map[int]uint64{},
		rows: map[rowKey]history.Row{}, ledger: map[place]history.Entry{}, dead: map[place]history.DeadLetter{}, series: map[seriesKey][]byte{},
		windows: map[partKey]history.Window{}, alarms: map[place]history.AlarmEntry{},
	}
}

// open returns a handle that works until the next powerCut.
func (h *records) open() *historyHandle {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &historyHandle{h, h.life}
}

func (h *records) powerCut() { h.mu.Lock(); h.life++; h.mu.Unlock() }

// arm makes the next write crash.
func (h *records) arm(at crashPoint) { h.mu.Lock(); h.crashAt = at; h.mu.Unlock() }

// historyHandle implements site.History.
type historyHandle struct {
	h    *records
	life int
}

func (x *historyHandle) Position(shard int) uint64 {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	return x.h.positions[shard]
}

func (x *historyHandle) Write(shard int, seq uint64, p *history.Projections) error {
	h := x.h
	h.mu.Lock()
	if x.life != h.life {
		h.mu.Unlock()
		return errHistoryDown
	}
	if seq <= h.positions[shard] {
		h.mu.Unlock()
		return nil
	}
	at := h.crashAt
	h.crashAt = noCrash
	if h.sabotage != nil {
		h.sabotage(p)
	}
	switch at {
	case noCrash, afterWrite:
		h.store(shard, p, len(p.Rows))
		h.positions[shard] = seq
	case tornWrite:
		h.store(shard, p, h.rng.IntN(len(p.Rows)+1))
	}
	h.mu.Unlock()
	if at != noCrash {
		h.crash()
		return errHistoryDown
	}
	return nil
}

// store puts the first n rows, and with the last of them the rest. h.mu is held.
func (h *records) store(shard int, p *history.Projections, n int) {
	for _, s := range p.Series {
		h.series[seriesKey{s.Device, s.Schema}] = bytes.Clone(s.Body)
	}
	for _, r := range p.Rows[:n] {
		r.Data = bytes.Clone(r.Data)
		key := rowKey{r.Device, r.Schema, r.From, r.Run, r.Seq, r.SID}
		if had, ok := h.rows[key]; ok && !reflect.DeepEqual(had, r) {
			h.trace.complain("I1", "history: the row of %s, run %s, seq %d was written with other content: %+v, then %+v", r.Device, r.Run, r.Seq, had, r)
		}
		h.rows[key] = r
	}
	if n < len(p.Rows) {
		return
	}
	for _, e := range p.Ledger {
		at := place{shard, e.At}
		if had, ok := h.ledger[at]; ok && had != e {
			h.trace.complain("I1", "history: a ledger entry of shard %d was written with other content: %+v, then %+v", shard, had, e)
		}
		h.ledger[at] = e
	}
	for _, d := range p.Dead {
		h.dead[place{shard, d.At}] = d
	}
	h.storeStages(shard, p)
}

// storeStages puts what pipelines gave out. h.mu is held.
func (h *records) storeStages(shard int, p *history.Projections) {
	for _, w := range p.Windows {
		key := partKey{windowKey{w.Site, w.Pipeline, w.Revision, w.Device, w.Stage, w.Start}, w.Run, w.Seq}
		if had, ok := h.windows[key]; ok && had != w {
			h.trace.complain("windows", "history: a part was written with other content: %+v, then %+v", had, w)
		}
		h.windows[key] = w
	}
	for _, a := range p.Alarms {
		at := place{shard, a.At}
		if had, ok := h.alarms[at]; ok && had != a {
			h.trace.complain("windows", "history: an alarm of shard %d was written with other content: %+v, then %+v", shard, had, a)
		}
		h.alarms[at] = a
	}
}

// stages returns the parts of windows and the alarm log.
func (h *records) stages() (map[partKey]history.Window, map[place]history.AlarmEntry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.windows), maps.Clone(h.alarms)
}

// all returns the rows by run and sequence, and the ledger by site in journal
// order: positions of two shards say nothing about each other.
func (h *records) all() ([]history.Row, []history.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rows := slices.SortedFunc(maps.Values(h.rows), func(a, b history.Row) int {
		return cmp.Or(slices.Compare(a.Run[:], b.Run[:]), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.SID, b.SID), cmp.Compare(a.From, b.From))
	})
	ledger := slices.SortedFunc(maps.Values(h.ledger), func(a, b history.Entry) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.At.Seq, b.At.Seq), cmp.Compare(a.At.Index, b.At.Index), cmp.Compare(a.At.N, b.At.N))
	})
	return rows, ledger
}
