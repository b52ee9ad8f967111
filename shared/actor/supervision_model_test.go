package actor_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// A tree of actors does what the oracle says, which follows the words of the
// docs one thing at a time: it has no turns, no signals and no goroutines.
//
// Commands are 20 ms apart and sleeps are 1.02 s long, delays are whole seconds
// and windows are not: so in a script of under fifty commands no two things are
// due at the same time.
func TestATreeOfActorsIsThatOfTheOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := &oracle{t: rt, actors: map[string]*one{}, lives: map[string]int{}}
		var script, want strings.Builder
		for range rapid.IntRange(1, 40).Draw(rt, "commands") {
			for _, line := range []string{o.draw(rt), "sleep 20ms"} {
				fmt.Fprintln(&script, line)
				fmt.Fprint(&want, line, "\n", o.command(strings.Fields(line)))
			}
		}
		var got string
		synctest.Test(t, func(t *testing.T) { got = newTree(t, actor.Pool).script(script.String()) })
		if got != want.String() || t.Failed() {
			rt.Fatalf("got\n%s\nwant\n%s", got, want.String())
		}
	})
}

// oracle is a tree as the docs of WithSupervisor and of package supervise
// describe it.
type oracle struct {
	t      tb
	now    time.Duration
	actors map[string]*one // the last of each path
	lives  map[string]int  // receivers that were started, by path
	notes  map[string][]string
}

type stage int

const (
	up stage = iota
	waits
	rests
	gone
)

// one is one actor of the oracle.
type one struct {
	path                 string
	parent               *one
	children             []*one
	supervisor, guardian supervise.Strategy
	breaks               string

	stage stage
	life  int
	at    time.Duration // when it may begin again
	why   string        // it waits or rests
	mail  [][]string
	past  past // as a child
	all   past // of its children
}

// past is every restart that was ever decided.
type past struct {
	at   []time.Duration
	wait time.Duration
	from time.Duration // when the last wait was over
}

// draw chooses a command that has one outcome.
func (o *oracle) draw(t *rapid.T) string {
	path := rapid.SampledFrom([]string{"p", "q", "p/a", "p/b", "q/a", "p/a/x", "p/a/y", "p/b/x"}).Draw(t, "path")
	verb := rapid.SampledFrom([]string{"spawn", "spawn", "spawn", "tell", "panic", "panic", "fail", "fail", "fail", "stop", "poison", "sleep"}).Draw(t, "verb")
	a := o.actors[path]
	cut := strings.LastIndexByte(path, '/')
	switch verb {
	case "sleep":
		return "sleep " + (time.Duration(rapid.IntRange(1, 4).Draw(t, "sleep")) * 1020 * time.Millisecond).String()
	case "spawn":
		line := verb + " " + path
		if cut < 0 {
			line += " guardian=" + drawStrategy(t)
		}
		above := o.actors[path[:max(0, cut)]]
		if cut < 0 || above == nil || above.stage != rests && above.supervisor.Scope == supervise.OneForOne {
			line += " breaks=" + rapid.SampledFrom([]string{"1", "2,3", "3", "0", "0", "0"}).Draw(t, "breaks")
		} // else the others, or the parent's next message, may be before this failure or after
		return line + " supervisor=" + drawStrategy(t)
	case "panic", "fail":
		if a != nil && a.stage == rests && a.parent != nil && a.parent.supervisor.Scope == supervise.AllForOne {
			verb = "tell" // for the same reason
		}
		return verb + " " + path + " " + rapid.SampledFrom([]string{"restart", "resume", "stop", "escalate"}).Draw(t, "why")
	}
	return verb + " " + path
}

func drawStrategy(t *rapid.T) string {
	s := rapid.SampledFrom([]string{"one_for_one,", "all_for_one,"}).Draw(t, "scope")
	s += rapid.SampledFrom([]string{"stop", "resume", "restart", "restart", "restart", "escalate", "by-reason"}).Draw(t, "directive")
	s += rapid.SampledFrom([]string{"", ",backoff=1s/4s", ",backoff=2s/2s", ",backoff=1h/1h"}).Draw(t, "backoff")
	s += ",max=" + rapid.SampledFrom([]string{"1", "3"}).Draw(t, "max") + "/2510ms"
	return s + rapid.SampledFrom([]string{"", ",exceeded=escalate"}).Draw(t, "exceeded")
}

// command returns what the command brings about.
func (o *oracle) command(words []string) string {
	o.notes = map[string][]string{}
	verb, path := words[0], words[1]
	a := o.actors[path]
	switch cut := strings.LastIndexByte(path, '/'); {
	case verb == "sleep":
		d, _ := time.ParseDuration(path)
		o.sleep(d)
	case verb == "spawn" && cut < 0:
		o.spawn(nil, path, words[2:])
	case verb == "spawn":
		o.tell(path[:cut], words)
	case verb == "tell" || verb == "panic" || verb == "fail":
		o.tell(path, words)
	case a == nil || a.stage == gone:
	case verb == "stop":
		o.end(a, "<nil>")
	case verb == "poison":
		a.mail = append(a.mail, words)
		o.deliver(a)
	}
	var out strings.Builder
	for _, path := range slices.Sorted(maps.Keys(o.notes)) {
		fmt.Fprintf(&out, "    %s: %s\n", path, strings.Join(o.notes[path], "; "))
	}
	return out.String()
}

func (o *oracle) note(a *one, format string, args ...any) {
	o.notes[a.path] = append(o.notes[a.path], fmt.Sprintf("%d ", a.life)+fmt.Sprintf(format, args...))
}

// sleep lets those that rest begin, in the order of their times.
func (o *oracle) sleep(d time.Duration) {
	until := o.now + d
	for {
		var next *one
		for _, a := range o.actors {
			if a.stage == rests && a.at <= until && (next == nil || a.at < next.at) {
				next = a
			}
		}
		if next == nil {
			break
		}
		o.now = max(o.now, next.at)
		o.begin(next)
	}
	o.now = until
}

func (o *oracle) spawn(parent *one, path string, args []string) {
	if old := o.actors[path]; old != nil && old.stage != gone {
		by := path
		if parent != nil {
			by = parent.path
		}
		o.notes[by] = append(o.notes[by], fmt.Sprintf("actor: spawn %q: actor: id in use", path))
		return
	}
	a := &one{path: path, parent: parent}
	for _, arg := range args {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "guardian":
			a.guardian = strategy(o.t, value)
		case "supervisor":
			a.supervisor = strategy(o.t, value)
		case "breaks":
			a.breaks = value
		}
	}
	o.actors[path] = a
	if parent != nil {
		parent.children = append(parent.children, a)
	}
	o.begin(a)
}

// begin gives an actor a new receiver and then what waits.
func (o *oracle) begin(a *one) {
	a.stage = up
	o.lives[a.path]++
	a.life = o.lives[a.path]
	o.note(a, "starts")
	why := fmt.Sprintf("panic of %s: no start", a.path)
	switch {
	case !among(a.breaks, a.life):
		o.deliver(a)
	case len(a.mail) > 0 && a.mail[0][0] == "poison": // it was told to stop
		o.end(a, why)
	default:
		o.fail(a, "no start", why)
	}
}

func (o *oracle) tell(path string, words []string) {
	a := o.actors[path]
	if a == nil || a.stage == gone {
		o.notes[path] = append(o.notes[path], "refuses: actor: stopped")
		return
	}
	a.mail = append(a.mail, words)
	o.deliver(a)
}

// deliver handles what waits, in order, while the actor is up.
func (o *oracle) deliver(a *one) {
	for a.stage == up && len(a.mail) > 0 {
		words := a.mail[0]
		a.mail = a.mail[1:]
		arg := strings.Join(words[2:], " ")
		switch words[0] {
		case "spawn":
			o.spawn(a, words[1], words[2:])
			continue
		case "poison":
			o.end(a, "<nil>")
			continue
		}
		o.note(a, "%s %s", words[0], arg)
		switch words[0] {
		case "panic":
			o.fail(a, arg, fmt.Sprintf("panic of %s: %s", a.path, arg))
		case "fail":
			o.fail(a, arg, arg)
		}
	}
}

// fail: text is what a Decide by reason sees, why is how hooks show it.
func (o *oracle) fail(a *one, text, why string) {
	a.stage, a.why = waits, why
	s, history, concerned := a.guardian, &a.past, []*one{a}
	if a.parent != nil {
		s = a.parent.supervisor
		if s.Scope == supervise.AllForOne {
			history, concerned = &a.parent.all, a.parent.children
		}
	}
	directive, delay := history.decide(o.now, s, text)
	switch {
	case directive == supervise.Resume:
		o.resume(a)
	case directive == supervise.Restart:
		for _, each := range concerned {
			if each.stage != gone {
				o.restart(each, why, delay)
			}
		}
	case directive == supervise.Escalate && a.parent != nil:
		o.fail(a.parent, text, why)
	default:
		o.end(a, why)
	}
}

// decide is the words of supervise.Strategy.
func (p *past) decide(now time.Duration, s supervise.Strategy, text string) (supervise.Directive, time.Duration) {
	directive := s.OnFailure
	if s.Decide != nil {
		word, _, _ := strings.Cut(text, " ")
		if directive.UnmarshalText([]byte(word)) != nil {
			return supervise.Stop, 0 // it panics
		}
	}
	if directive != supervise.Restart {
		return directive, 0
	}
	inside := 0
	for _, at := range p.at {
		if now-at <= s.Within {
			inside++
		}
	}
	if inside >= s.MaxRestarts {
		return s.Exceeded, 0
	}
	p.at = append(p.at, now)
	quiet := p.wait == 0 || now-p.from >= s.Backoff.Max
	p.wait = min(2*p.wait, s.Backoff.Max)
	if quiet {
		p.wait = s.Backoff.Min
	}
	p.from = now + p.wait
	return directive, p.wait
}

func (o *oracle) resume(a *one) {
	a.stage = up
	for _, child := range slices.Clone(a.children) {
		if child.stage == waits { // it escalated
			o.resume(child)
		}
	}
	o.deliver(a)
}

func (o *oracle) restart(a *one, why string, delay time.Duration) {
	o.endChildren(a)
	if a.stage != rests {
		o.note(a, "restarting: %s", why)
	}
	a.stage, a.why = rests, why
	if a.at = max(a.at, o.now+delay); a.at <= o.now {
		o.begin(a)
	}
}

func (o *oracle) endChildren(a *one) {
	for _, child := range a.children {
		o.end(child, "<nil>")
	}
	a.children = nil
}

// end: who waits or rests ends with its failure, and only a receiver that did
// not have its last call is told.
func (o *oracle) end(a *one, why string) {
	if a.stage == gone {
		return
	}
	if a.stage == waits {
		why = a.why
	}
	o.endChildren(a)
	if a.stage != rests {
		o.note(a, "stopped: %s", why)
	}
	a.stage, a.mail = gone, nil
}
