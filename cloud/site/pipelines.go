package site

import (
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

// pipelines are a site's pipelines: an actor for each, and who reads what. All
// but the actors' states is made from the documents.
type pipelines struct {
	actors     map[string]*pipelineActor
	ordered    []*pipelineActor            // by name
	everywhere []*pipelineActor            // that read every device of the site
	readers    map[string][]*pipelineActor // of the devices that others read, those of everywhere included
	states     int                         // pairs of a pipeline and a device
	active     map[string]int              // active alarms by device

	// Of the turn in hand.
	offered []*pipelineActor // that have an inbox
	rows    rowBuffer
	out     pipeline.Output
}

// portion is what one block has for the pipelines.
type portion struct {
	device string
	batch  *twin.Batch
}

// readersOf returns the pipelines that read a device, by name.
func (p *pipelines) readersOf(device string) []*pipelineActor {
	if readers, ok := p.readers[device]; ok {
		return readers
	}
	return p.everywhere
}

// offer puts a block into the inboxes of the pipelines that read its device.
func (p *pipelines) offer(in portion) {
	if len(p.ordered) == 0 {
		return
	}
	for _, a := range p.readersOf(in.device) {
		if len(a.inbox) == 0 {
			p.offered = append(p.offered, a)
		}
		a.inbox = append(a.inbox, in)
	}
}

// tellPipelines has every pipeline that was offered something take it: one
// message a pipeline and frame.
func (s *site) tellPipelines(ctx *actor.ContextOf[message], m pipelineMessage) {
	p := &s.pipelines
	for _, a := range p.offered {
		send(ctx, a.ref, m)
	}
	clear(p.offered)
	p.offered = p.offered[:0]
}

func (s *site) tickPipelines(ctx *actor.ContextOf[message], m message) {
	for _, a := range s.pipelines.ordered {
		if a.due != 0 && a.due <= m.now {
			send(ctx, a.ref, pipelineMessage{now: m.now, pos: m.rec.pos, tick: true})
		}
	}
}

// due returns when a tick may close a window first, 0 for never.
func (p *pipelines) due() (first int64) {
	for _, a := range p.ordered {
		first = earlier(first, a.due)
	}
	return first
}

// putPipeline takes a pipeline's document: a new revision begins anew.
func (s *site) putPipeline(ctx *actor.ContextOf[message], m message, d journal.Document) error {
	def, err := parsePipeline(s.id, d.Name, d.Text)
	if err != nil {
		return err
	}
	if s.pipelines.actors[d.Name] == nil && len(s.pipelines.actors) >= pipeline.MaxPipelines {
		return fmt.Errorf("limit: pipeline %s would be more than %d of the site", def.Name, pipeline.MaxPipelines)
	}
	s.removePipeline(ctx, m, d.Name)
	s.addPipeline(def, &pipelineState{Revision: d.Revision})
	return nil
}

func parsePipeline(site id.Site, name string, text []byte) (*pipeline.Pipeline, error) {
	want := id.Pipeline{Site: site, Name: name}
	def, err := pipeline.Parse(want.String(), text)
	if err != nil {
		return nil, err
	}
	if def.Name != want {
		return nil, fmt.Errorf("document of pipeline %s describes %s", want, def.Name)
	}
	return def, nil
}

func (s *site) addPipeline(def *pipeline.Pipeline, state *pipelineState) {
	if state.Devices == nil {
		state.Devices = make(map[string]*pipeline.State)
	}
	p := &s.pipelines
	a := &pipelineActor{site: s, def: def, source: def.Source(), state: state}
	// A changed document makes a new actor beside the one that is about to end.
	a.ref = spawn[pipelineMessage](s, a, "pipeline", fmt.Sprintf("%s.%d", def.Name.Name, state.Revision))
	if p.actors == nil {
		p.actors, p.active = make(map[string]*pipelineActor), make(map[string]int)
	}
	p.actors[def.Name.Name] = a
	p.states += len(state.Devices)
	for device, st := range state.Devices {
		a.due = earlier(a.due, def.Due(st))
		a.countActive(device, st, +1)
	}
}

// removePipeline ends a pipeline, and its alarms with it.
func (s *site) removePipeline(ctx *actor.ContextOf[message], m message, name string) {
	a := s.pipelines.actors[name]
	if a == nil {
		return
	}
	for _, device := range slices.Sorted(maps.Keys(a.state.Devices)) {
		a.leave(pipelineMessage{now: m.now, pos: m.rec.pos}, device)
	}
	s.pipelines.states -= len(a.state.Devices)
	send(ctx, a.ref, pipelineMessage{end: true})
	delete(s.pipelines.actors, name)
}

// choosePipelines finds out anew who reads what, after a document has changed.
// A pipeline leaves the devices that it reads no more, and keeps their states:
// they may come back under the same revision.
func (s *site) choosePipelines(m message) {
	p := &s.pipelines
	s.indexPipelines()
	for _, a := range p.ordered {
		for _, device := range slices.Sorted(maps.Keys(a.state.Devices)) {
			if !slices.Contains(p.readersOf(device), a) {
				a.leave(pipelineMessage{now: m.now, pos: m.rec.pos}, device)
			}
		}
	}
}

func (s *site) indexPipelines() {
	p := &s.pipelines
	p.ordered, p.everywhere, p.readers = nil, nil, make(map[string][]*pipelineActor)
	for _, name := range slices.Sorted(maps.Keys(p.actors)) {
		p.ordered = append(p.ordered, p.actors[name])
	}
	for _, a := range p.ordered {
		if len(a.source.Devices)+len(a.source.Rooms) == 0 {
			p.everywhere = append(p.everywhere, a)
		}
		for _, device := range s.sourceOf(a) {
			p.readers[device] = nil
		}
	}
	for _, a := range p.ordered {
		devices := s.sourceOf(a)
		if len(a.source.Devices)+len(a.source.Rooms) == 0 {
			devices = slices.Collect(maps.Keys(p.readers))
		}
		for _, device := range devices {
			p.readers[device] = append(p.readers[device], a)
		}
	}
}

// sourceOf returns the devices that a pipeline names, by itself or by rooms.
func (s *site) sourceOf(a *pipelineActor) []string {
	devices := slices.Clone(a.source.Devices)
	for _, name := range a.source.Rooms {
		devices = append(devices, s.rooms.plan.Members(name)...)
	}
	slices.Sort(devices)
	return slices.Compact(devices)
}

// enter adds an entry to the alarm log.
func (s *site) enter(pos journal.Position, e history.AlarmEntry) {
	e.At = history.At{Seq: pos.Seq, Index: uint32(pos.Index), N: s.entries}
	e.Site = s.id
	s.entries++
	s.projections.Alarms = append(s.projections.Alarms, e)
}
