package site

import (
	"cmp"
	"slices"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/wire"
)

// pipelineActor calls pipeline.Pipeline's Step and Tick for each device.
type pipelineActor struct {
	site   *site
	def    *pipeline.Pipeline
	source pipeline.Source
	ref    actor.Ref[pipelineMessage]
	state  *pipelineState
	due    int64 // no window can close before; 0: none is open
	inbox  []portion
}

// pipelineState is a pipeline's part of the snapshot. It belongs to one
// revision of the document.
type pipelineState struct {
	_        struct{} `cbor:",toarray"`
	Revision uint64
	Count    pipeline.Counts
	Devices  map[string]*pipeline.State
}

// pipelineMessage has a pipeline take its inbox, look at its windows, or end.
type pipelineMessage struct {
	now  int64
	pos  journal.Position
	tick bool
	end  bool
}

// Receive takes what waits, or a tick.
func (a *pipelineActor) Receive(ctx *actor.ContextOf[pipelineMessage]) {
	switch m := ctx.Message(); {
	case m.end:
		ctx.Stop()
	case m.tick:
		a.tick(m)
	default:
		a.take(m)
	}
}

// take gives each device's rows of the frame to its state at once, as Step
// demands, also if they come in several blocks.
func (a *pipelineActor) take(m pipelineMessage) {
	slices.SortStableFunc(a.inbox, func(x, y portion) int { return cmp.Compare(x.device, y.device) })
	for from, to := 0, 0; from < len(a.inbox); from = to {
		device := a.inbox[from].device
		for to = from + 1; to < len(a.inbox) && a.inbox[to].device == device; {
			to++
		}
		a.step(m, device, a.inbox[from:to])
	}
	clear(a.inbox)
	a.inbox = a.inbox[:0]
	if out := &a.site.pipelines.out; cap(out.Windows) > keptWindows {
		*out = pipeline.Output{}
	}
}

// keptWindows bounds the windows that stay allocated between frames, of some
// 130 bytes each: a frame of late rows may have one a row.
const keptWindows = 1024

func (a *pipelineActor) step(m pipelineMessage, device string, in []portion) {
	s := a.site
	rows := &s.pipelines.rows
	rows.reset()
	for _, p := range in {
		rows.add(p.batch, a.source.Points)
	}
	bad := pipeline.Counts{Rows: rows.bad, Bad: rows.bad}
	a.state.Count.Add(bad)
	s.totals.rows.Add(bad)
	if len(rows.rows) == 0 {
		return
	}
	state := a.state.Devices[device]
	if state == nil {
		if s.pipelines.states >= MaxPipelineDevices {
			s.totals.unread += len(rows.rows)
			return
		}
		state = new(pipeline.State)
		a.state.Devices[device] = state
		s.pipelines.states++
	}
	first := in[0].batch
	a.def.Step(m.now, state, first.Run, first.Order.Seq, rows.rows, &s.pipelines.out)
	a.took(m, device, state)
}

// tick closes the windows whose time is over.
func (a *pipelineActor) tick(m pipelineMessage) {
	due := make([]string, 0, len(a.state.Devices))
	for device, state := range a.state.Devices {
		if at := a.def.Due(state); at != 0 && at <= m.now {
			due = append(due, device)
		}
	}
	slices.Sort(due)
	for _, device := range due {
		state := a.state.Devices[device]
		a.def.Tick(m.now, state, &a.site.pipelines.out)
		a.took(m, device, state)
	}
	a.due = 0
	for _, state := range a.state.Devices {
		a.due = earlier(a.due, a.def.Due(state))
	}
}

// took passes on what a step gave out.
func (a *pipelineActor) took(m pipelineMessage, device string, state *pipeline.State) {
	s, out := a.site, &a.site.pipelines.out
	a.state.Count.Add(out.Counts)
	s.totals.rows.Add(out.Counts)
	a.due = earlier(a.due, a.def.Due(state))
	for i := range out.Windows {
		w := &out.Windows[i]
		s.projections.Windows = append(s.projections.Windows, history.Window{
			Site: s.id, Pipeline: a.def.Name.Name, Revision: a.state.Revision, Device: device,
			Stage: w.Stage, Start: w.Start, End: w.End, Run: w.Run, Seq: w.Seq, Part: w.Partial,
		})
	}
	for i := range out.Alarms {
		a.changed(m.pos, device, &out.Alarms[i])
	}
}

// changed logs what an alarm did, and counts it.
func (a *pipelineActor) changed(pos journal.Position, device string, t *pipeline.Transition) {
	by := -1
	if t.State == pipeline.Active {
		by = 1
	}
	a.mark(device, t.Stage, by)
	a.site.enter(pos, history.AlarmEntry{
		Pipeline: a.def.Name.Name, Device: device, Revision: a.state.Revision, Stage: t.Stage,
		State: t.State, Time: t.At, Value: t.Value, Threshold: t.Threshold, Severity: t.Severity, Text: t.Text,
	})
}

// mark counts by more active alarms of a device, and tells the watchers.
func (a *pipelineActor) mark(device string, stage, by int) {
	s := a.site
	if s.pipelines.active[device] += by; s.pipelines.active[device] == 0 {
		delete(s.pipelines.active, device)
	}
	s.marks.add(entity{site: s.id, kind: anAlarm, name: a.def.Name.Name, device: device, stage: stage})
	s.marks.add(entity{site: s.id, kind: aSite})
	for _, name := range s.rooms.plan.Of(device) {
		s.marks.add(entity{site: s.id, kind: aRoom, name: name})
	}
}

// countActive adds the active alarms of a state to the device's, or takes them
// away.
func (a *pipelineActor) countActive(device string, state *pipeline.State, by int) {
	for _, alarm := range a.def.Alarms(state) {
		if alarm.State == pipeline.Active {
			a.mark(device, alarm.Stage, by)
		}
	}
}

// leave ends what the pipeline has under way for a device that it reads no
// more.
func (a *pipelineActor) leave(m pipelineMessage, device string) {
	state := a.state.Devices[device]
	for _, alarm := range a.def.Alarms(state) {
		if alarm.State != pipeline.Active && alarm.Raised > 0 {
			a.site.marks.add(entity{site: a.site.id, kind: anAlarm, name: a.def.Name.Name, device: device, stage: alarm.Stage})
		}
	}
	a.def.End(m.now, state, &a.site.pipelines.out)
	a.took(m, device, state)
}

// rowBuffer makes the rows of a step. It is shared by the pipelines of a site,
// which run one at a time.
type rowBuffer struct {
	rows    []pipeline.Row
	values  []float64
	columns []int
	bad     uint64 // rows without a good value of each point
}

// reset empties the buffer. One that a great frame has filled is let go of.
func (r *rowBuffer) reset() {
	if cap(r.values)+4*cap(r.rows) > keptValues { // a row is four integers
		*r = rowBuffer{}
	}
	r.rows, r.values, r.bad = r.rows[:0], r.values[:0], 0
}

// add takes the rows of a block that has all the points, and nothing of one
// that has not.
func (r *rowBuffer) add(b *twin.Batch, points []id.Point) {
	r.columns = r.columns[:0]
	for _, p := range points {
		i := slices.IndexFunc(b.Columns, func(c wire.Column) bool { return c.Point == p })
		if i < 0 {
			return
		}
		if b.Columns[i].Kind == wire.KindText {
			r.bad += uint64(b.Rows.Len()) // stages take numbers
			return
		}
		r.columns = append(r.columns, i)
	}
	for row := range b.Rows.T {
		from := len(r.values)
		for _, i := range r.columns {
			if wire.QualityOf(b.Rows.Q[row], i) != wire.Good {
				break
			}
			r.values = append(r.values, b.Columns[i].Float(b.Rows.V[i][row]))
		}
		if len(r.values)-from < len(points) {
			r.values, r.bad = r.values[:from], r.bad+1
			continue
		}
		r.rows = append(r.rows, pipeline.Row{At: b.Sampled(row), V: r.values[from:len(r.values):len(r.values)]})
	}
}
