package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor"
)

// tree is a system of actors that do what they are told and write down what
// happens to them. It lives in a synctest bubble: after each command it waits
// until all is quiet.
type tree struct {
	t      *testing.T
	system *actor.ActorSystem
	reg    *prometheus.Registry
	refs   map[string]actor.Ref[order]
	doors  map[string]chan struct{} // of held actors

	accepted int // messages

	mu    sync.Mutex
	made  map[string]int      // receivers, by path
	lives map[string]int      // of these, started
	alive map[string]bool     // whose receiver had its Started and not its last call
	notes map[string][]string // since the last command
}

// order is a message to an actor of a tree.
type order struct {
	do, arg string
	run     func(ctx *actor.ContextOf[order])
}

// newTree makes a tree whose actors run on a dispatcher of that kind. The pool
// has a worker a core; the others have enough for actors that are held.
func newTree(t *testing.T, kind actor.Kind) *tree {
	reg := prometheus.NewRegistry()
	system := actor.NewActorSystem(node, slog.New(slog.DiscardHandler), actor.WithMetrics(reg))
	if err := system.RegisterDispatcher("tree", actor.DispatcherConfig{Throughput: 3, MailboxSize: 100, MaxConcurrency: 20, Kind: kind}); err != nil {
		t.Fatal(err)
	}
	return &tree{
		t:      t,
		system: system,
		reg:    reg,
		refs:   map[string]actor.Ref[order]{},
		doors:  map[string]chan struct{}{},
		made:   map[string]int{},
		lives:  map[string]int{},
		alive:  map[string]bool{},
		notes:  map[string][]string{},
	}
}

// script runs commands, a line each, and returns them with what each brought
// about. The order of notes within one actor is that in which they happened.
func (r *tree) script(lines string) string {
	var out strings.Builder
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		fmt.Fprintf(&out, "%s\n", line)
		r.command(strings.Fields(line))
		synctest.Wait()
		for _, note := range r.take() {
			fmt.Fprintf(&out, "    %s\n", note)
		}
	}
	r.settle()
	return out.String()
}

// settle ends the tree and takes the account of its messages (I5).
func (r *tree) settle() {
	r.t.Helper()
	for _, door := range r.doors {
		close(door)
	}
	if err := r.system.Stop(context.Background()); err != nil {
		r.t.Error(err)
	}
	for path, ref := range r.refs {
		select {
		case <-ref.Stopped():
		default:
			r.t.Errorf("%s has not ended", path)
		}
	}
	dead := sum(r.t, r.reg, "atrium_actor_dead_letters_total")
	if h := handled(r.t, r.reg); h+dead != r.accepted {
		r.t.Errorf("%d accepted, %d handled and %d dead letters", r.accepted, h, dead)
	}
	if n := sum(r.t, r.reg, "atrium_actor_actors"); n != 0 {
		r.t.Errorf("%d actors live", n)
	}
}

func (r *tree) command(words []string) {
	verb, path, args := words[0], "", []string(nil)
	if len(words) > 1 {
		path, args = words[1], words[2:]
	}
	switch verb {
	case "spawn":
		r.spawn(path, args)
	case "tell", "panic", "fail", "exit", "stash", "unstash", "become", "end", "hold":
		if verb == "hold" {
			r.doors[path] = make(chan struct{})
		}
		r.tell(path, order{do: verb, arg: strings.Join(args, " ")})
	case "release":
		close(r.doors[path])
		delete(r.doors, path)
	case "stop":
		_ = r.refs[path].Stop()
	case "poison":
		_ = r.refs[path].Poison()
	case "ask":
		r.ask(path, strings.Join(args, " "))
	case "children":
		r.tell(path, order{run: func(ctx *actor.ContextOf[order]) {
			r.note(path, fmt.Sprint("children ", ctx.Children(), " parent ", ctx.Parent()))
		}})
	case "waiting":
		r.note(path, fmt.Sprint("waiting ", r.refs[path].Waiting()))
	case "ended":
		select {
		case <-r.refs[path].Stopped():
			r.note(path, "has ended")
		default:
			r.note(path, "lives")
		}
	case "sleep":
		time.Sleep(duration(r.t, path))
	case "counts":
		r.note("counts", fmt.Sprintf("%d restarts, %d escalations, %d panics, %d dead letters by failure, %d by stop, %d by the system's stop",
			sum(r.t, r.reg, "atrium_actor_restarts_total"), sum(r.t, r.reg, "atrium_actor_escalations_total"),
			sum(r.t, r.reg, "atrium_actor_panics_total"), deadLetters(r.t, r.reg, "failure"),
			deadLetters(r.t, r.reg, "stopped"), deadLetters(r.t, r.reg, "system_stopped")))
	case "system-stop":
		go func() { _ = r.system.Stop(context.Background()) }()
	case "system-abandon":
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := r.system.Stop(ctx); err != nil {
			r.note("system", err.Error())
		}
	default:
		r.t.Fatalf("unknown command %q", words)
	}
}

func (r *tree) tell(path string, o order) {
	if err := r.refs[path].Tell(o); err != nil {
		r.note(path, "refuses: "+err.Error())
		return
	}
	r.accepted++
}

func (r *tree) ask(path, arg string) {
	answer, err := actor.Ask(context.Background(), r.refs[path], func(reply actor.Reply[string]) order {
		return order{do: arg, run: func(ctx *actor.ContextOf[order]) {
			switch verb, why, _ := strings.Cut(arg, " "); verb {
			case "panic":
				panic(errors.New(why))
			case "fail":
				ctx.Fail(errors.New(why))
			default:
				reply.Send("answer to " + arg)
			}
		}}
	})
	r.accepted++
	r.note("asker of "+path, fmt.Sprintf("%q, %v", answer, err))
}

func (r *tree) note(path, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes[path] = append(r.notes[path], text)
}

func (r *tree) take() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(r.notes)) {
		all = append(all, path+": "+strings.Join(r.notes[path], "; "))
	}
	clear(r.notes)
	return all
}

// spawn makes a top actor, or lets a parent make its child.
func (r *tree) spawn(path string, args []string) {
	props := actor.PropsOf(func() actor.ReceiverOf[order] { return r.life(path, args) }).WithDispatcher("tree")
	for _, arg := range args {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "supervisor":
			props = props.WithSupervisor(strategy(r.t, value))
		case "guardian":
			props = props.WithGuardian(strategy(r.t, value))
		case "caller":
			props = props.WithCallerRuns()
		case "size":
			props = props.WithMailbox(actor.Mailbox{Size: number(r.t, value)})
		}
	}
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 {
		r.spawned(path, path)(actor.Spawn(r.system.Engine(), props, path))
		return
	}
	r.tell(path[:cut], order{run: func(ctx *actor.ContextOf[order]) {
		r.spawned(path[:cut], path)(actor.SpawnChild(ctx, props, path[cut+1:]))
	}})
}

func (r *tree) spawned(by, path string) func(actor.Ref[order], error) {
	return func(ref actor.Ref[order], err error) {
		if err != nil {
			r.note(by, err.Error())
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.refs[path] = ref
	}
}
