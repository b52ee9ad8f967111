package sim

import (
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// toldEvent is an event of a device's health that its gateway took.
type toldEvent struct {
	device  id.Device
	boot    id.Boot
	tick    int64
	text    string
	at      time.Time
	process *process
}

// gossip is all that samplers told, in order.
type gossip struct {
	mu  sync.Mutex
	all []toldEvent
}

// events is the series of a device's health as one sampler has it.
type events struct {
	*buffer.Series
	process *process
	device  id.Device
}

// AppendText implements device.Events.
func (e events) AppendText(tick int64, text string) error {
	g := e.process.gw
	g.told.mu.Lock()
	defer g.told.mu.Unlock()
	if err := e.Series.AppendText(tick, text); err != nil {
		return err
	}
	g.told.all = append(g.told.all, toldEvent{e.device, e.process.bootID, tick, text, time.Now(), e.process})
	return nil
}

// arrived is an event as history has it.
type arrived struct {
	device id.Device
	boot   id.Boot
	tick   int64
	text   string
}

// checkEvents holds the events that arrived against those that were told: each
// once and in order, or in a range of the ledger; and those that a crash took
// were younger than a commit interval (I1).
func (s *Sim) checkEvents(tally *Tally) {
	came := s.arrivedEvents()
	_, ledger := s.cloud.history.all()
	left := map[int]uint64{} // readings that the ledger's entries can still explain
	for i := range ledger {
		left[i] = ledger[i].Readings
	}
	for _, g := range s.gateways {
		for i := range g.told.all {
			t := &g.told.all[i]
			key := arrived{t.device, t.boot, t.tick, t.text}
			if at := slices.Index(came[t.device], key); at >= 0 {
				tally.Events++
				for _, before := range came[t.device][:at] {
					s.trace.complain("I1", "event %q of %s at %d ms arrived before one that was told earlier, twice, or was never told", before.text, before.device, before.tick)
				}
				came[t.device] = came[t.device][at+1:]
				continue
			}
			if !s.excused(g, t, ledger, left) {
				s.trace.complain("I1", "event %q of %s at %d ms is lost: no row, no gap, not uncommitted", t.text, t.device, t.tick)
			}
		}
	}
	for _, rest := range came {
		for _, x := range rest {
			s.trace.complain("I1", "event %q of %s at %d ms arrived twice, late or was never told", x.text, x.device, x.tick)
		}
	}
}

// arrivedEvents returns each device's events in the order of their runs and
// sequences.
func (s *Sim) arrivedEvents() map[id.Device][]arrived {
	rows, _ := s.cloud.history.all() // by run and sequence
	runs, _ := s.tap.known()
	all := map[id.Device][]arrived{}
	for _, r := range runs {
		at, _ := slices.BinarySearchFunc(rows, r.run, func(row history.Row, run id.Run) int { return slices.Compare(row.Run[:], run[:]) })
		for ; at < len(rows) && rows[at].Run == r.run; at++ {
			row := &rows[at]
			body, err := wire.ParseBody(s.cloud.history.series[seriesKey{row.Device, row.Schema}])
			if err != nil || body.Columns[0].Kind != wire.KindText {
				continue
			}
			var got wire.Rows
			if err := wire.ParseColumns(row.Data, row.N, wire.ShapeOf(body.Columns), row.Grid, row.First, &got); err != nil {
				s.trace.complain("I1", "event of %s, run %s, seq %d: %v", row.Device, row.Run, row.Seq, err)
				continue
			}
			for i, tick := range got.T {
				all[row.Device] = append(all[row.Device], arrived{row.Device, r.boot, tick, got.Texts[0][got.V[0][i]]})
			}
		}
	}
	return all
}

// excused says whether an event that did not arrive is accounted for.
func (s *Sim) excused(g *gateway, t *toldEvent, ledger []history.Entry, left map[int]uint64) bool {
	for i := range ledger {
		e := &ledger[i]
		if e.Class != wire.Events || e.Boot != t.boot || e.Gateway != g.name.Name || e.Site != g.name.Site {
			continue
		}
		switch {
		case e.Reason < history.Missing && e.B > 0 && e.TFirst <= t.tick && t.tick <= e.TLast && left[i] > 0:
			left[i]--
			return true
		case givenUp(e.Reason):
			return true
		}
	}
	if l := s.lossBy(t.process); l != nil && t.at.Before(l.at) && s.leftOpen(g, ledger) {
		return true
	}
	died := t.process.died()
	return !died.IsZero() && died.Sub(t.at) <= g.cfg.Interval
}
