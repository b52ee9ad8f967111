package fault

import (
	"time"

	"github.com/atrium-iot/atrium/shared/config"
)

// The scenario file's own shape.
type (
	scenario struct {
		Faults []planned `yaml:"faults,required"`
	}
	planned struct {
		At          time.Duration  `yaml:"at" range:"..1000h"`
		For         *time.Duration `yaml:"for" range:"1ms..1000h"`
		Bus         string         `yaml:"bus,required"`
		Address     *uint16        `yaml:"address"`
		Line        *uint16        `yaml:"line"`
		Kind        string         `yaml:"kind,required"`
		Probability *float64       `yaml:"probability"`
	}
)

// Plan adds the faults of a scenario file, whose times count from now: all of
// them, or none and an error. file is used in errors only, which name line,
// column and key.
func (s *Set) Plan(file string, data []byte) error {
	doc, err := config.Parse(file, data)
	if err != nil {
		return err
	}
	var f scenario
	if err := doc.Decode(&f); err != nil {
		return err
	}
	orders := make([]order, len(f.Faults))
	for i, p := range f.Faults {
		var bad *refusal
		if orders[i], bad = s.order(p); bad != nil {
			return doc.Errorf(config.Join(config.Index("$.faults", i), bad.key), "%s", bad.text)
		}
	}
	if err := s.add(orders...); err != nil {
		return doc.Errorf("$.faults", "%v", err)
	}
	return nil
}

func (s *Set) order(p planned) (order, *refusal) {
	kind, ok := parseKind(p.Kind)
	if !ok {
		return order{}, unknownKind(p.Kind)
	}
	place, bad := placeOf(p.Bus, p.Address, p.Line)
	if bad != nil {
		return order{}, bad
	}
	f := Fault{Place: place, Kind: kind, Begin: p.At, Probability: 1}
	if p.For != nil {
		f.End = p.At + *p.For
	}
	if p.Probability != nil {
		f.Probability = *p.Probability
	}
	return s.find(f)
}
