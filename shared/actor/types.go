package actor

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// ErrLimit: there are as many actors of the type or of the site, or as many
// messages in the site, as its limit allows.
var ErrLimit = errors.New("actor: limit reached")

// TypeConfig is what a configuration says about the actors of a type. A zero
// field leaves what their props say.
type TypeConfig struct {
	Dispatcher  string
	Mailbox     Mailbox
	Passivation Passivation // for a type that is registered
	// Supervision is followed when an actor without a parent fails.
	Supervision *supervise.Strategy
	// Limit is how many actors of the type may be in memory at once: Spawn, and
	// a message that would activate one more, get ErrLimit.
	Limit int
}

// species is what the engine knows of a type by its name.
type species struct {
	config TypeConfig
	seen   bool       // actors may be there
	census *census    // nil without a limit
	made   registered // nil unless it is registered
}

// census counts the actors of a type that has a limit. The nil one has none.
type census struct {
	limit int64
	count atomic.Int64
}

func (c *census) enter() bool {
	if c == nil {
		return true
	}
	if c.count.Add(1) > c.limit {
		c.count.Add(-1)
		return false
	}
	return true
}

func (c *census) leave() {
	if c != nil {
		c.count.Add(-1)
	}
}

// ConfigureType sets what actors of a type get, whatever their props say. It
// comes before the first Spawn or Register of the type; the type is what
// WithType or Register names, or the receiver's Go type. Members of groups are
// not concerned.
func (s *ActorSystem) ConfigureType(name string, cfg TypeConfig) error {
	if err := s.checkType(name, cfg); err != nil {
		return fmt.Errorf("actor: configure type %q: %w", name, err)
	}
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	sp := e.speciesLocked(name)
	if sp.seen {
		return fmt.Errorf("actor: configure type %q: its actors are there already", name)
	}
	sp.config = cfg
	if cfg.Supervision != nil {
		own := *cfg.Supervision
		sp.config.Supervision = &own
	}
	sp.census = nil
	if cfg.Limit > 0 {
		sp.census = &census{limit: int64(cfg.Limit)}
	}
	return nil
}

func (s *ActorSystem) checkType(name string, cfg TypeConfig) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	if cfg.Dispatcher != "" {
		if _, err := s.dispatcher(cfg.Dispatcher); err != nil {
			return fmt.Errorf("TypeConfig.Dispatcher: %w", err)
		}
	}
	if err := cfg.Mailbox.Check(); err != nil {
		return err
	}
	if err := cfg.Passivation.check(); err != nil {
		return err
	}
	if cfg.Supervision != nil {
		if err := cfg.Supervision.Check(); err != nil {
			return fmt.Errorf("TypeConfig.Supervision: %w", err)
		}
	}
	if cfg.Limit < 0 || cfg.Limit > maxSetting {
		return fmt.Errorf("TypeConfig.Limit: want 0 (none) to %d, got %d", maxSetting, cfg.Limit)
	}
	return nil
}

// speciesLocked returns what is known of a type; it is made at its first
// mention.
func (e *Engine) speciesLocked(name string) *species {
	sp := e.types[name]
	if sp == nil {
		sp = new(species)
		e.types[name] = sp
	}
	return sp
}

// see returns what is configured for a type, which from then on is settled.
func (e *Engine) see(name string) *species {
	e.mu.Lock()
	defer e.mu.Unlock()
	sp := e.speciesLocked(name)
	sp.seen = true
	return sp
}

// over puts what a configuration says in the place of what props say.
func (cfg TypeConfig) over(set settings) settings {
	if cfg.Dispatcher != "" {
		set.dispatcher = cfg.Dispatcher
	}
	if cfg.Mailbox.Size > 0 {
		set.mailbox.Size = cfg.Mailbox.Size
	}
	if cfg.Mailbox.Overflow != Refuse {
		set.mailbox.Overflow = cfg.Mailbox.Overflow
	}
	return set
}

// wanted reports whether there are any rules.
func (p Passivation) wanted() bool {
	return p.Idle > 0 || p.Messages > 0 || p.Limit > 0 || p.Store != nil
}

// over puts what a configuration says in the place of what props say.
func (p Passivation) over(rules Passivation) Passivation {
	if p.Idle > 0 {
		rules.Idle = p.Idle
	}
	if p.Messages > 0 {
		rules.Messages = p.Messages
	}
	if p.Limit > 0 {
		rules.Limit = p.Limit
	}
	if p.Store != nil {
		rules.Store = p.Store
	}
	return rules
}
