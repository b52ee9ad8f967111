package settings

import (
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/shared/actor"
)

// Apply checks the settings and hands them to a system that has no actors yet:
// dispatchers, then types, then sites, each in the order of names. An error of
// Check has changed nothing. After another one, of a name that the program has
// registered or of a system that stops, the system is configured in part and
// should not be used.
func (s *Settings) Apply(system *actor.ActorSystem) error {
	if err := s.Check(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Dispatchers)) {
		if err := system.RegisterDispatcher(name, s.Dispatchers[name].config()); err != nil {
			return fmt.Errorf("settings: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Types)) {
		if err := system.ConfigureType(name, s.Types[name].config()); err != nil {
			return fmt.Errorf("settings: %w", err)
		}
	}
	if s.Sites == (Sites{}) {
		return nil
	}
	if err := system.LimitSites(actor.SiteLimits(s.Sites)); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

func (d Dispatcher) config() actor.DispatcherConfig {
	c := actor.DefaultDispatcher()
	c.Kind, c.Weight = d.Kind, d.Weight
	for _, f := range []struct{ from, to *int }{
		{&d.Throughput, &c.Throughput}, {&d.MailboxSize, &c.MailboxSize}, {&d.MaxConcurrency, &c.MaxConcurrency},
	} {
		if *f.from != 0 {
			*f.to = *f.from
		}
	}
	return c
}

func (t Type) config() actor.TypeConfig {
	c := actor.TypeConfig{
		Dispatcher:  t.Dispatcher,
		Passivation: actor.Passivation{Idle: t.Passivation.Idle, Messages: t.Passivation.Messages, Limit: t.Passivation.Limit},
		Limit:       t.Limit,
	}
	if t.Mailbox != nil {
		c.Mailbox = actor.Mailbox{Size: t.Mailbox.Size, Overflow: t.Mailbox.Overflow}
	}
	if t.Supervision != nil {
		strategy := t.Supervision.strategy()
		c.Supervision = &strategy
	}
	return c
}
