package agent

import "github.com/atrium-iot/atrium/edge/doctor"

// Subject is what the doctor looks at.
func (c *Config) Subject() doctor.Subject {
	b := &c.Buffer
	s := doctor.Subject{
		Gateway: c.Gateway, State: c.State, Identity: c.Identity, Cloud: c.Cloud,
		Mode: b.Mode.String(), Interval: b.CommitInterval,
		Limit: b.Limit + b.Events, Reserve: b.Reserve, Memory: c.Memory,
	}
	for _, bus := range c.Buses {
		if bus.Device != "" {
			s.Nodes = append(s.Nodes, bus.Device)
		}
	}
	return s
}
