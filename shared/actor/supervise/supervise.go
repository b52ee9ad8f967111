// Package supervise decides what follows from an actor's failure: go on, start
// again, now or later, stop, or let the failure be the parent's own.
//
// A Strategy is what the parent wants, as in the supervisors of Erlang/OTP
// (OTP Design Principles, "Supervisor Behaviour"; J. Armstrong, "Making reliable
// distributed systems in the presence of software errors", 2003, 5.2): one child
// or all of them start again, and more than MaxRestarts within a time are a
// failure of the parent itself. Between restarts it waits, longer each time.
// A Record is the history of one child, or of all children where they share
// their fate. The caller brings a Failure and the time to Step and does what
// the Decision says.
//
// The package is pure: it restarts nothing, waits for nothing, reads no clock
// and has no randomness of its own. The same calls give the same decisions.
package supervise

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxIntensity bounds MaxRestarts, because a Record keeps the time of each
// restart in the window: 1 KiB at most for a child that keeps failing. A child
// that 128 restarts have not healed is not healed by more.
const MaxIntensity = 128

// Directive is what to do with a child that has failed.
type Directive uint8

// The zero Directive is Stop, so that only what was asked for runs again.
const (
	Stop     Directive = iota // the child ends
	Resume                    // the child goes on with its state and the next message
	Restart                   // the child begins anew, and keeps its ID and mailbox
	Escalate                  // the parent fails with the child's reason
)

var directives = []string{Stop: "stop", Resume: "resume", Restart: "restart", Escalate: "escalate"}

// String returns the directive as it is written in a configuration.
func (d Directive) String() string { return name(directives, d) }

// UnmarshalText reads what String writes.
func (d *Directive) UnmarshalText(text []byte) error {
	i := slices.Index(directives, string(text))
	if i < 0 {
		return fmt.Errorf("want one of %s, got %q", strings.Join(directives, ", "), text)
	}
	*d = Directive(i)
	return nil
}

// Scope is whom a Restart concerns.
type Scope uint8

const (
	OneForOne Scope = iota // the child that failed
	AllForOne              // all children of the parent, because they depend on one another
)

var scopes = []string{OneForOne: "one_for_one", AllForOne: "all_for_one"}

// String returns the scope's name.
func (s Scope) String() string { return name(scopes, s) }

func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("unknown (%d)", uint8(v))
}

// Strategy says what a parent does about failures of its children. The zero
// Strategy stops whoever fails. It is plain data: copy it, share it, and don't
// change it while it is in use.
type Strategy struct {
	// Scope is whose Record a failure is counted in, and who restarts.
	Scope Scope

	// Decide chooses by failure; nil means OnFailure for all. It runs in the
	// caller of Step. A directive that does not exist stops the child.
	Decide func(Failure) Directive
	// OnFailure is the directive where Decide is nil.
	OnFailure Directive

	// MaxRestarts is the intensity: how many restarts may lie within Within,
	// both ends included. One more becomes Exceeded. 0 means no limit, and then
	// Within is 0 too; at most MaxIntensity. The time of the backoff counts, so
	// a limit that the delays alone stretch beyond Within never takes effect.
	MaxRestarts int
	Within      time.Duration
	// Exceeded is Stop or Escalate.
	Exceeded Directive

	// Backoff is the wait before a restart; zero restarts at once.
	Backoff Backoff
}

// FieldError is what Check finds, for callers that know a better place for it.
type FieldError struct {
	Field string // of Strategy: "MaxRestarts", "Backoff.Max"
	Text  string // what it allows, and what it is
}

func (e *FieldError) Error() string { return "supervise: " + e.Field + ": " + e.Text }

func wrong(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// Check finds the first field that no Step could follow. The error is a
// *FieldError.
func (s Strategy) Check() error {
	switch {
	case s.Scope > AllForOne:
		return wrong("Scope", "want %s, got %s", strings.Join(scopes, " or "), s.Scope)
	case s.OnFailure > Escalate:
		return wrong("OnFailure", "want one of %s, got %s", strings.Join(directives, ", "), s.OnFailure)
	case s.MaxRestarts < 0 || s.MaxRestarts > MaxIntensity:
		return wrong("MaxRestarts", "want 0 (no limit) to %d, got %d", MaxIntensity, s.MaxRestarts)
	case s.MaxRestarts > 0 && s.Within <= 0:
		return wrong("Within", "want the time in which %d restarts may lie, got %v", s.MaxRestarts, s.Within)
	case s.MaxRestarts == 0 && s.Within != 0:
		return wrong("Within", "want 0 where restarts have no limit, got %v", s.Within)
	case s.Exceeded != Stop && s.Exceeded != Escalate:
		return wrong("Exceeded", "want %s or %s, got %s", Stop, Escalate, s.Exceeded)
	}
	return s.Backoff.check()
}

// Failure is what is known of a failure when it is decided.
type Failure struct {
	Type, ID string // of the child
	Reason   error
	// Restarts is how many restarts the window of the Strategy holds before
	// this one; Step sets it for Decide. 0 where MaxRestarts is 0.
	Restarts int
}

// Decision is what to do about a failure.
type Decision struct {
	Directive Directive
	Delay     time.Duration // before a Restart; 0 otherwise
}

// Record is the history that decisions depend on. The zero Record is that of a
// child that never failed. It holds at most MaxRestarts times.
type Record struct {
	window []int64 // when the counted restarts were decided, oldest first
	wait   backoff
}

// Step decides about a failure at now, in ns of a clock that does not go back.
// s has passed Check and is the same at every Step. random returns numbers in
// [0, 1) and is called only where the backoff has jitter.
func (r *Record) Step(now int64, s *Strategy, f Failure, random func() float64) Decision {
	r.forget(now, s)
	f.Restarts = len(r.window)
	directive := s.OnFailure
	if s.Decide != nil {
		directive = s.Decide(f)
	}
	switch directive {
	case Resume, Escalate:
		return Decision{Directive: directive}
	case Restart:
	default:
		return Decision{Directive: Stop}
	}
	if s.MaxRestarts > 0 {
		if len(r.window) >= s.MaxRestarts {
			return Decision{Directive: s.Exceeded}
		}
		r.window = append(r.window, now)
	}
	return Decision{Directive: Restart, Delay: r.wait.next(now, s.Backoff, random)}
}

// forget drops the restarts that have left the window, and the memory of the
// last one.
func (r *Record) forget(now int64, s *Strategy) {
	inside := slices.IndexFunc(r.window, func(at int64) bool { return now-at <= int64(s.Within) })
	if inside < 0 {
		r.window = nil
		return
	}
	r.window = slices.Delete(r.window, 0, inside)
}
