package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/fair"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

const (
	// maxDispatchers leaves room for the default one among those that share
	// the pool.
	maxDispatchers = fair.Max - 1
	// maxTypes bounds the types: each is a label of every metric of actors.
	maxTypes = 256
	// maxName bounds a name in bytes: it is read in logs and metrics.
	maxName = 64

	// maxCount bounds what is counted, far above any use, so that sums of two
	// fit in 32 bits.
	maxCount = 1 << 30
)

// fault is what Check finds.
type fault struct {
	path string // of the value, as in a file: types.device.mailbox.size
	text string // what is wanted there, and what it is
}

func (f *fault) Error() string { return "settings: " + f.path + ": " + f.text }

func wrong(path, format string, args ...any) error {
	return &fault{path, fmt.Sprintf(format, args...)}
}

// Check finds the first value that no system could follow, in the order of
// names, and names its place: "types.device.mailbox.size". Parse has called it.
func (s *Settings) Check() error {
	if err := checkNames("dispatchers", s.Dispatchers, maxDispatchers); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Dispatchers)) {
		if err := s.Dispatchers[name].check("dispatchers." + name); err != nil {
			return err
		}
	}
	if err := checkNames("types", s.Types, maxTypes); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Types)) {
		if err := s.checkType("types."+name, s.Types[name]); err != nil {
			return err
		}
	}
	return counts("sites", count{"actors", s.Sites.Actors}, count{"messages", s.Sites.Messages})
}

func checkNames[V any](path string, named map[string]V, most int) error {
	if len(named) > most {
		return wrong(path, "want at most %d, got %d", most, len(named))
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, unseen) {
			return wrong(path+"."+name, "want a name of 1 to %d bytes, without spaces and control characters", maxName)
		}
	}
	return nil
}

func unseen(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }

func (d Dispatcher) check(path string) error {
	if path == "dispatchers."+actor.DefaultDispatcherName {
		return wrong(path, "want another name, because the program itself sets up this dispatcher")
	}
	err := counts(path, count{"throughput", d.Throughput}, count{"mailbox_size", d.MailboxSize}, count{"max_concurrency", d.MaxConcurrency})
	switch {
	case err != nil:
		return err
	case d.Weight < 0 || d.Weight > fair.MaxWeight:
		return wrong(path+".weight", "want 0 (as if left out) to %d, got %d", fair.MaxWeight, d.Weight)
	case d.Weight > 0 && d.Kind != actor.Pool:
		return wrong(path+".weight", "want none, because a dispatcher of kind %s shares its time with no other", d.Kind)
	}
	return nil
}

func (s *Settings) checkType(path string, t Type) error {
	if _, ok := s.Dispatchers[t.Dispatcher]; !ok && t.Dispatcher != "" && t.Dispatcher != actor.DefaultDispatcherName {
		known := append([]string{actor.DefaultDispatcherName}, slices.Sorted(maps.Keys(s.Dispatchers))...)
		return wrong(path+".dispatcher", "want one of %s, got %q", strings.Join(known, ", "), t.Dispatcher)
	}
	err := counts(path,
		count{"passivation.messages", t.Passivation.Messages},
		count{"passivation.limit", t.Passivation.Limit},
		count{"limit", t.Limit})
	switch {
	case err != nil:
		return err
	case t.Mailbox != nil && (t.Mailbox.Size < 1 || t.Mailbox.Size > maxCount):
		return wrong(path+".mailbox.size", "want 1 to %d, got %d", maxCount, t.Mailbox.Size)
	case t.Passivation.Idle < 0:
		return wrong(path+".passivation.idle", "want 0 (never) or more, got %v", t.Passivation.Idle)
	case t.Supervision != nil:
		return t.Supervision.check(path + ".supervision")
	}
	return nil
}

func (s Supervision) check(path string) error {
	var f *supervise.FieldError
	if err := s.strategy().Check(); errors.As(err, &f) {
		return wrong(path+"."+key(f.Field), "%s", f.Text)
	}
	if s.OnFailure != supervise.Restart && s != (Supervision{OnFailure: s.OnFailure}) {
		return wrong(path+".on_failure", "want restart, because the rest is about restarts, got %s", s.OnFailure)
	}
	return nil
}

// key writes the path of a field as in a file: Backoff.Max as backoff.max,
// MaxRestarts as max_restarts.
func key(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 && field[i-1] != '.' {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// count is a number of messages or actors.
type count struct {
	key   string
	value int
}

func counts(path string, all ...count) error {
	for _, c := range all {
		if c.value < 0 || c.value > maxCount {
			return wrong(path+"."+c.key, "want 0 (as if left out) to %d, got %d", maxCount, c.value)
		}
	}
	return nil
}
