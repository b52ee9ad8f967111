package actor_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// life is one receiver of an actor. "breaks=2,3" are the lives whose Started
// panics, "none=2" those that the producer does not make.
func (r *tree) life(path string, args []string) actor.ReceiverOf[order] {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made[path]++
	l := &life{tree: r, path: path}
	for _, arg := range args {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "none":
			if among(value, r.made[path]) {
				return nil
			}
		case "breaks":
			l.breaks = value
		case "hook":
			l.hook = value
		}
	}
	if l.hook == "stopped" {
		return struct{ stoppable }{stoppable{l}}
	}
	return restartable{stoppable{l}}
}

// among reports whether a list like "2,3" has n.
func among(list string, n int) bool {
	return slices.Contains(strings.Split(list, ","), strconv.Itoa(n))
}

type life struct {
	tree   *tree
	path   string
	nth    int
	breaks string
	hook   string // what Restarting does
}

func (l *life) note(text string, args ...any) {
	l.tree.note(l.path, fmt.Sprintf("%d "+text, append([]any{l.nth}, args...)...))
}

func (l *life) Started(*actor.ContextOf[order]) {
	l.tree.mu.Lock()
	l.tree.alive[l.path] = true
	l.tree.lives[l.path]++
	l.nth = l.tree.lives[l.path]
	l.tree.mu.Unlock()
	l.note("starts")
	if among(l.breaks, l.nth) {
		panic(errors.New("no start"))
	}
}

func (l *life) Receive(ctx *actor.ContextOf[order]) {
	o := ctx.Message()
	if o.run != nil {
		o.run(ctx)
		return
	}
	l.note("%s %s", o.do, o.arg)
	switch o.do {
	case "panic":
		panic(errors.New(o.arg))
	case "fail":
		ctx.Fail(errors.New(o.arg))
	case "exit":
		runtime.Goexit()
	case "stash": // the first receiver can't handle it yet
		if l.nth > 1 {
			return
		}
		if err := ctx.Stash(); err != nil {
			l.tree.t.Error(err)
		}
	case "unstash":
		ctx.Unstash()
	case "become":
		ctx.Become(func(ctx *actor.ContextOf[order]) { l.note("as another: %s %s", ctx.Message().do, ctx.Message().arg) })
	case "hold":
		<-l.tree.doors[l.path]
		if o.arg != "" {
			panic(errors.New(o.arg))
		}
	case "end":
		ctx.Stop()
	}
}

// ends checks that no child of the actor lives on.
func (l *life) ends() {
	l.tree.mu.Lock()
	defer l.tree.mu.Unlock()
	if !l.tree.alive[l.path] {
		l.tree.t.Errorf("%s ends twice, or before it started", l.path)
	}
	delete(l.tree.alive, l.path)
	for path := range l.tree.alive {
		if strings.HasPrefix(path, l.path+"/") {
			l.tree.t.Errorf("%s ends before %s", l.path, path)
		}
	}
}

type stoppable struct{ *life }

func (s stoppable) Stopped(_ *actor.ContextOf[order], reason error) {
	s.ends()
	s.note("stopped: %s", short(reason))
}

type restartable struct{ stoppable }

func (s restartable) Restarting(ctx *actor.ContextOf[order], reason error) {
	s.ends()
	s.note("restarting: %s", short(reason))
	switch s.hook {
	case "panics":
		panic("in Restarting")
	case "exits":
		runtime.Goexit()
	case "spawns":
		_, err := actor.SpawnChild(ctx, actor.PropsOf(func() actor.ReceiverOf[order] { return s }), "late")
		s.note("%v", err)
	case "fails":
		ctx.Fail(errors.New("in Restarting"))
	case "ends":
		ctx.Stop()
	}
}

// short is a reason without what every panic has.
func short(reason error) string {
	var p *actor.PanicError
	if errors.As(reason, &p) {
		return fmt.Sprintf("panic of %s: %v", p.PID.ID, p.Value)
	}
	return fmt.Sprint(reason)
}

// strategy reads "all_for_one,restart,max=2/10s,exceeded=escalate,backoff=1s/8s".
// "by-reason" does what the failure's text begins with.
func strategy(t tb, text string) (s supervise.Strategy) {
	t.Helper()
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		first, second, _ := strings.Cut(value, "/")
		switch {
		case key == "max":
			s.MaxRestarts, s.Within = number(t, first), duration(t, second)
		case key == "exceeded":
			s.Exceeded = directive(t, value)
		case key == "backoff":
			s.Backoff = supervise.Backoff{Min: duration(t, first), Max: duration(t, second)}
		case key == "panics-restart-others-resume":
			s.Decide = func(f supervise.Failure) supervise.Directive {
				if p := (*actor.PanicError)(nil); errors.As(f.Reason, &p) {
					return supervise.Restart
				}
				return supervise.Resume
			}
		case key == "by-reason":
			s.Decide = byReason
		case key == supervise.OneForOne.String():
		case key == supervise.AllForOne.String():
			s.Scope = supervise.AllForOne
		default:
			s.OnFailure = directive(t, key)
		}
	}
	return s
}

// byReason is a Decide; a reason that names no directive panics in it.
func byReason(f supervise.Failure) (d supervise.Directive) {
	text := f.Reason.Error()
	if cause := errors.Unwrap(f.Reason); cause != nil { // of a panic
		text = cause.Error()
	}
	word, _, _ := strings.Cut(text, " ")
	if err := d.UnmarshalText([]byte(word)); err != nil {
		panic(err)
	}
	return d
}

func directive(t tb, name string) (d supervise.Directive) {
	t.Helper()
	if err := d.UnmarshalText([]byte(name)); err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t tb, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t tb, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
