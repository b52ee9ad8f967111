package autoscale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

const (
	// Every is how often the cluster is asked: nodes sample their load as often,
	// unless they were told of shorter windows.
	Every = 10 * time.Second
	// arrivesWithin bounds how long a node that was started may take until it
	// lives, and one that was stopped until it is gone: a virtual machine boots in
	// minutes.
	arrivesWithin = 10 * time.Minute
	// emptyWithin bounds a drain: a shard takes seconds, a node has a few hundred.
	emptyWithin = 15 * time.Minute
	// restAfter is the pause after a step that failed.
	restAfter = time.Minute
	// sayAgain is how often the reason to stay is told while it changes: it counts
	// the minutes that a sign has lasted.
	sayAgain = time.Minute
	// undoWithin bounds how long taking a drain back may take.
	undoWithin = 10 * time.Second
)

// Cluster is what is asked: client.Client.
type Cluster interface {
	Nodes(ctx context.Context) ([]client.Node, error)
	Advice(ctx context.Context) (client.Advice, error)
	Drain(ctx context.Context, node string, on bool) (client.Drain, error)
	Emptied(ctx context.Context, d client.Drain, tell func(client.Drain) error) error
}

// Config says how to act.
type Config struct {
	Limits
	Every time.Duration // between two looks; 0 means the constant Every
	// Out has a node started, In has one that serves nothing stopped. Their error
	// is told, and the step tried again later. A nil one is not done.
	Out func(ctx context.Context) error
	In  func(ctx context.Context, node string) error
	// Tell is called with each step and each new decision, with a new reason for
	// the same one once a minute; its error ends Run.
	Tell func(Event) error
}

// Event is something that Run decided or did.
type Event struct {
	At   time.Time `json:"at"`
	Step string    `json:"step"` // decided, drained, done or failed
	Action
	Error string `json:"error,omitempty"`
}

// Look asks the cluster once and decides.
func Look(ctx context.Context, c Cluster, l Limits) (Action, error) {
	a, err := c.Advice(ctx)
	if err != nil {
		return Action{}, err
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return Action{}, err
	}
	return Decide(a, nodes, l), nil
}

// Run acts until ctx ends, which is no error. A cluster that can't be asked at
// first is one.
func Run(ctx context.Context, c Cluster, cfg Config) error {
	cfg.Every = cmp.Or(cfg.Every, Every)
	r := &runner{cluster: c, cfg: cfg}
	for first := true; ctx.Err() == nil; first = false {
		pause := cfg.Every
		a, err := Look(ctx, c, cfg.Limits)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			err = r.say("failed", Action{Do: "stay", Why: "the cluster can't be asked"}, err)
		default:
			pause, err = r.act(ctx, a)
		}
		if err != nil {
			return err
		}
		if sleep(ctx, pause) != nil {
			return nil
		}
	}
	return nil
}

type runner struct {
	cluster Cluster
	cfg     Config
	said    Action // last
	saidAt  time.Time
}

func (r *runner) say(step string, a Action, fault error) error {
	e := Event{At: time.Now().UTC(), Step: step, Action: a}
	if fault != nil {
		e.Error = fault.Error()
	}
	return r.cfg.Tell(e)
}

// act does what was decided, and returns how long to wait before the next look.
func (r *runner) act(ctx context.Context, a Action) (time.Duration, error) {
	now := time.Now()
	if a.Do != r.said.Do || a.Node != r.said.Node || a != r.said && now.Sub(r.saidAt) >= sayAgain {
		r.said, r.saidAt = a, now
		if err := r.say("decided", a, nil); err != nil {
			return 0, err
		}
	}
	var err error
	switch {
	case a.Do == "out" && r.cfg.Out != nil:
		err = r.out(ctx)
	case a.Do == "in" && r.cfg.In != nil:
		err = r.in(ctx, a)
	default:
		return r.cfg.Every, nil
	}
	r.said = Action{}
	switch {
	case ctx.Err() != nil:
		return 0, nil
	case err != nil:
		return restAfter, r.say("failed", a, err)
	}
	return r.cfg.Every, r.say("done", a, nil)
}

// out has a node started and waits until it lives: its load is somebody else's
// before, and the advice the same.
func (r *runner) out(ctx context.Context) error {
	before, err := r.cluster.Nodes(ctx)
	if err != nil {
		return err
	}
	if err := r.cfg.Out(ctx); err != nil {
		return err
	}
	return r.until(ctx, "a new node lives", func(now []client.Node) bool {
		return slices.ContainsFunc(now, func(n client.Node) bool { return n.State == "live" && !lives(before, n.Node) })
	})
}

// in empties a node and has it stopped. The drain is taken back in any case: of a
// node that is gone, so that one of the same name may have shards later.
func (r *runner) in(ctx context.Context, a Action) (err error) {
	defer func() {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
		defer cancel()
		if _, e := r.cluster.Drain(undo, a.Node, false); e != nil {
			err = errors.Join(err, fmt.Errorf("the drain was not taken back: %w", e))
		}
	}()
	d, err := r.cluster.Drain(ctx, a.Node, true)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, emptyWithin)
	defer cancel()
	if err := r.cluster.Emptied(within, d, func(client.Drain) error { return nil }); err != nil {
		return fmt.Errorf("it is not empty: %w", err)
	}
	if err := r.say("drained", a, nil); err != nil {
		return err
	}
	if err := r.cfg.In(ctx, a.Node); err != nil {
		return err
	}
	return r.until(ctx, a.Node+" is gone", func(now []client.Node) bool { return !lives(now, a.Node) })
}

// lives reports whether a node is there, draining or not.
func lives(nodes []client.Node, name string) bool {
	return slices.ContainsFunc(nodes, func(n client.Node) bool { return n.Node == name && n.State != "dead" })
}

// until asks for the nodes until they are as wanted. The node that is asked may
// be away for a while.
func (r *runner) until(ctx context.Context, what string, done func([]client.Node) bool) error {
	ctx, cancel := context.WithTimeout(ctx, arrivesWithin)
	defer cancel()
	for {
		nodes, err := r.cluster.Nodes(ctx)
		if err == nil && done(nodes) {
			return nil
		}
		if e := sleep(ctx, r.cfg.Every); e != nil {
			return fmt.Errorf("waiting until %s: %w", what, errors.Join(e, err))
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
