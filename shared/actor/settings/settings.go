// Package settings reads the configuration of an actor system from YAML: its
// dispatchers, what each type of actor may use and what follows from its
// failures, and what a site may use.
//
// Parse turns a file's bytes into Settings, plain values that were checked;
// Apply hands them to a system that has no actors yet. What a file leaves out
// stays as the program has it. The package reads no files.
//
// A file that says everything:
//
//	dispatchers:
//	  device-dispatcher: {kind: pool, throughput: 100, mailbox_size: 1000, max_concurrency: 4, weight: 3}
//	types:
//	  device:
//	    dispatcher: device-dispatcher
//	    mailbox: {size: 500, overflow: drop_oldest}            # refuse, block, drop_oldest or drop_newest
//	    passivation: {idle: 10m, messages: 50000, limit: 10000}
//	    supervision:
//	      on_failure: restart                                  # stop, resume or restart
//	      max_restarts: 10
//	      within: 5m
//	      exceeded: stop
//	      backoff: {min: 100ms, max: 30s, factor: 2, jitter: 0.2, reset: 1m}
//	    limit: 100000
//	sites: {actors: 20000, messages: 200000}
package settings

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
	"github.com/atrium-iot/atrium/shared/config"
)

// Settings are the values of a file. Zero values are what a file leaves out.
type Settings struct {
	// Dispatchers are registered under their names.
	Dispatchers map[string]Dispatcher `yaml:"dispatchers"`
	// Types are what actors are counted and configured by, as their props name
	// them.
	Types map[string]Type `yaml:"types"`
	Sites Sites           `yaml:"sites"`
}

// Dispatcher is an actor.DispatcherConfig. A zero field is as in
// actor.DefaultDispatcher.
type Dispatcher struct {
	Kind           actor.Kind `yaml:"kind"`
	Throughput     int        `yaml:"throughput"`      // messages of one actor in a turn
	MailboxSize    int        `yaml:"mailbox_size"`    // messages
	MaxConcurrency int        `yaml:"max_concurrency"` // actors at once
	Weight         int        `yaml:"weight"`          // part of the pool's time beside the others
}

// Type configures the actors of a type. A field that is zero leaves what their
// props say.
type Type struct {
	// Dispatcher is one of the file's, or actor.DefaultDispatcherName.
	Dispatcher  string       `yaml:"dispatcher"`
	Mailbox     *Mailbox     `yaml:"mailbox"`
	Passivation Passivation  `yaml:"passivation"`
	Supervision *Supervision `yaml:"supervision"`
	// Limit is how many actors of the type may be there at once.
	Limit int `yaml:"limit"`
}

// Mailbox bounds what waits for one actor. It takes the place of the whole
// mailbox of the props.
type Mailbox struct {
	Size     int            `yaml:"size,required"` // messages
	Overflow actor.Overflow `yaml:"overflow"`      // what becomes of one more
}

// Passivation says when an actor leaves memory until its next message. Whatever
// comes first counts. Where its state is kept the props say.
type Passivation struct {
	Idle     time.Duration `yaml:"idle"`     // without a message
	Messages int           `yaml:"messages"` // handled since it was activated
	// Limit is how many of the type stay in memory; beyond it the one least
	// recently used leaves.
	Limit int `yaml:"limit"`
}

// Supervision is a supervise.Strategy: what follows when an actor of the type
// fails that has no parent; nobody is above it, so to escalate is to stop. Of a
// child its parent decides, as the parent's props say.
type Supervision struct {
	OnFailure supervise.Directive `yaml:"on_failure,required"`
	// MaxRestarts is how many restarts may lie within Within; one more is
	// Exceeded. The waits of the backoff count: ten of them from 100ms to 30s
	// take 81 s, so with a Within of a minute an actor that never stops failing
	// would be restarted for ever.
	MaxRestarts int                 `yaml:"max_restarts"`
	Within      time.Duration       `yaml:"within"`
	Exceeded    supervise.Directive `yaml:"exceeded"`
	Backoff     Backoff             `yaml:"backoff"`
}

// Backoff is a supervise.Backoff.
type Backoff struct {
	Min    time.Duration `yaml:"min"`
	Max    time.Duration `yaml:"max"`
	Factor float64       `yaml:"factor"`
	Jitter float64       `yaml:"jitter"`
	Reset  time.Duration `yaml:"reset"`
}

// Sites is an actor.SiteLimits: what each site may use. Zero is no limit.
type Sites struct {
	Actors   int `yaml:"actors"`
	Messages int `yaml:"messages"` // accepted and not yet handled
}

// Parse reads a file's bytes; file is used in errors only. types are those of
// the program's actors: a file that names another is refused. Without any, a
// file may name what it likes. Every error is a *config.Error: it has the
// file's name, line and column, and says what is wanted there.
func Parse(file string, data []byte, types ...string) (*Settings, error) {
	doc, err := config.Parse(file, data)
	if err != nil {
		return nil, err
	}
	s := new(Settings)
	if err := doc.Decode(s); err != nil {
		return nil, err
	}
	var f *fault
	if errors.As(s.Check(), &f) {
		return nil, doc.Errorf("$."+f.path, "%s", f.text)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Types)) {
		if len(types) > 0 && !slices.Contains(types, name) {
			return nil, doc.Errorf("$.types."+name, "unknown, want one of %s", strings.Join(types, ", "))
		}
	}
	return s, nil
}

func (s Supervision) strategy() supervise.Strategy {
	return supervise.Strategy{
		OnFailure:   s.OnFailure,
		MaxRestarts: s.MaxRestarts, Within: s.Within, Exceeded: s.Exceeded,
		Backoff: supervise.Backoff(s.Backoff),
	}
}
