package site

import (
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/twin"
)

// siteState holds names and states in the order of the names. Rooms are not in
// it: they are made of the documents and the twins.
type siteState struct {
	_         struct{} `cbor:",toarray"`
	Gateways  []namedGateway
	Twins     []namedTwin
	Documents []*document
	Pipelines []namedPipeline
	Commands  *command.State
}

type namedGateway struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	State *gatewayState
}

type namedTwin struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	State *twin.Snapshot
}

type namedPipeline struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	State *pipelineState
}

// snapshot is the site's state; it shares what it is made of.
func (s *site) snapshot() *siteState {
	state := &siteState{Documents: s.sortedDocuments(), Commands: s.commands.state}
	for _, name := range slices.Sorted(maps.Keys(s.gateways)) {
		state.Gateways = append(state.Gateways, namedGateway{Name: name, State: s.gateways[name].gateway.state})
	}
	for _, name := range slices.Sorted(maps.Keys(s.twins)) {
		state.Twins = append(state.Twins, namedTwin{Name: name, State: s.twins[name].state.Snapshot()})
	}
	for _, a := range s.pipelines.ordered {
		state.Pipelines = append(state.Pipelines, namedPipeline{Name: a.def.Name.Name, State: a.state})
	}
	return state
}

// fill makes the actors of a state. A document that an older program took may
// be none to this one: that is no damage.
func (s *site) fill(state *siteState) error {
	for _, g := range state.Gateways {
		g.State.fill()
		s.addGateway(g.Name, g.State)
	}
	for _, t := range state.Twins {
		s.addTwin(t.Name, t.State.Restore())
	}
	if state.Commands != nil {
		s.commands.state = state.Commands
	}
	for _, d := range state.Documents {
		s.documents[d.key()] = d
		if d.Kind != roomKind {
			continue
		}
		if _, err := s.putRoom(journal.Document{Kind: d.Kind, Name: d.Name, Revision: d.Revision, Text: d.Text}); err != nil {
			return fmt.Errorf("%w: %w", errUnread, err)
		}
	}
	for _, name := range s.rooms.plan.Rooms() {
		s.redefine(name).take()
	}
	for _, p := range state.Pipelines {
		d := s.documents[docKey{pipelineKind, p.Name}]
		def, err := parsePipeline(s.id, p.Name, d.Text)
		if err != nil {
			return fmt.Errorf("%w: %w", errUnread, err)
		}
		s.addPipeline(def, p.State)
	}
	s.indexPipelines()
	return nil
}

// check demands what the rest of the package relies on: names once each, in
// order, and a state for each.
func (s *siteState) check() error {
	for i, g := range s.Gateways {
		if g.State == nil || i > 0 && g.Name <= s.Gateways[i-1].Name {
			return fmt.Errorf("gateway %d, %q: want a state, and names in order", i, g.Name)
		}
		for run, r := range g.State.Runs {
			if r == nil {
				return fmt.Errorf("gateway %q: run %s has no state", g.Name, run)
			}
		}
	}
	for i, t := range s.Twins {
		if t.State == nil || i > 0 && t.Name <= s.Twins[i-1].Name {
			return fmt.Errorf("twin %d, %q: want a state, and names in order", i, t.Name)
		}
		if err := t.State.Check(); err != nil {
			return fmt.Errorf("twin %d, %q: %w", i, t.Name, err)
		}
	}
	if s.Commands != nil {
		if err := s.Commands.Check(); err != nil {
			return err
		}
	}
	return s.checkDocuments()
}

// checkDocuments demands a state for each pipeline's document, and no other.
func (s *siteState) checkDocuments() error {
	var pipelines []*document
	for i, d := range s.Documents {
		if d == nil || i > 0 && d.key().compare(s.Documents[i-1].key()) <= 0 {
			return fmt.Errorf("document %d: want one, and kinds and names in order", i)
		}
		switch d.Kind {
		case roomKind:
		case pipelineKind:
			pipelines = append(pipelines, d)
		default:
			return fmt.Errorf("document %d: kind %q", i, d.Kind)
		}
	}
	if len(pipelines) != len(s.Pipelines) {
		return fmt.Errorf("%d pipelines with %d documents", len(s.Pipelines), len(pipelines))
	}
	for i, p := range s.Pipelines {
		if d := pipelines[i]; p.State == nil || p.Name != d.Name || p.State.Revision != d.Revision {
			return fmt.Errorf("pipeline %d, %q: want a state of revision %d of %q", i, p.Name, d.Revision, d.Name)
		}
		for device, state := range p.State.Devices {
			if state == nil {
				return fmt.Errorf("pipeline %q: device %q has no state", p.Name, device)
			}
		}
	}
	return nil
}

// fill makes the maps that an empty one in the snapshot left nil.
func (s *gatewayState) fill() {
	empty := newGatewayState()
	if s.Runs == nil {
		s.Runs = empty.Runs
	}
	if s.Schemas == nil {
		s.Schemas = empty.Schemas
	}
	if s.Binds == nil {
		s.Binds = empty.Binds
	}
	for _, r := range s.Runs {
		if r.SIDs == nil {
			r.SIDs = make(map[uint32]seriesState)
		}
		if r.Clks == nil {
			r.Clks = make(map[uint32]clockState)
		}
	}
}
