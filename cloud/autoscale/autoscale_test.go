package autoscale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// town is a cluster of one core node, n1, and workers. Its advice is set.
type town struct {
	advice client.Advice
	nodes  []client.Node
	log    []string
	deaf   error // of Drain
	stuck  bool  // a drain never ends
	empty  map[string]bool
	counts bool      // the advice's reason changes
	joins  time.Time // of w1, once it was started
}

func newTown(workers ...string) *town {
	c := &town{nodes: []client.Node{{Node: "n1", State: "live", Core: true}}, empty: map[string]bool{}, advice: client.Advice{Action: "stay", Why: "quiet"}}
	for _, w := range workers {
		c.nodes = append(c.nodes, client.Node{Node: w, State: "live"})
	}
	return c
}

func (c *town) Nodes(context.Context) ([]client.Node, error) { return slices.Clone(c.nodes), nil }
func (c *town) Advice(context.Context) (client.Advice, error) {
	if c.counts {
		c.advice.Why = time.Now().String()
	}
	return c.advice, nil
}

func (c *town) Drain(ctx context.Context, node string, on bool) (client.Drain, error) {
	if ctx.Err() != nil {
		return client.Drain{}, ctx.Err()
	}
	c.log = append(c.log, fmt.Sprintf("drain %s %v", node, on))
	if c.deaf != nil {
		return client.Drain{}, c.deaf
	}
	for i, n := range c.nodes {
		if n.Node == node && n.State != "dead" {
			c.nodes[i].State = map[bool]string{true: "draining", false: "live"}[on]
		}
	}
	return client.Drain{Node: node, Drain: on, Shards: 3}, nil
}

func (c *town) Emptied(ctx context.Context, d client.Drain, _ func(client.Drain) error) error {
	if c.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	c.empty[d.Node] = true
	return sleep(ctx, 5*time.Second)
}

// run has Run act for a while.
func (c *town) run(t *testing.T, during time.Duration, l Limits, out func() error, in func(string) error) []Event {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), during)
	defer stop()
	var events []Event
	err := Run(ctx, c, Config{
		Limits: l,
		Out:    func(context.Context) error { c.log = append(c.log, "out"); return out() },
		In:     func(_ context.Context, node string) error { c.log = append(c.log, "in "+node); return in(node) },
		Tell:   func(e Event) error { events = append(events, e); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func never() error         { return errors.New("not asked for") }
func neither(string) error { return never() }

func (c *town) kill(node string) error {
	for i := range c.nodes {
		if c.nodes[i].Node == node {
			c.nodes[i].State = "dead"
		}
	}
	return nil
}

func TestANodeIsEmptyBeforeItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown("w1", "w2")
		c.advice = client.Advice{Action: "in", Why: "idle", Node: "w2"}
		events := c.run(t, time.Minute, Limits{1, 9}, never, func(node string) error {
			if !c.empty[node] {
				t.Errorf("%s is stopped and not empty", node)
			}
			c.advice = client.Advice{Action: "stay"}
			return c.kill(node)
		})
		if got := strings.Join(c.log, ", "); got != "drain w2 true, in w2, drain w2 false" {
			t.Errorf("did %s", got)
		}
		var steps []string
		for _, e := range events {
			steps = append(steps, e.Step+" "+e.Do)
		}
		if got := strings.Join(steps, ", "); got != "decided in, drained in, done in, decided stay" {
			t.Errorf("told %s", got)
		}
	})
}

// Whatever fails, the node may have shards again, and is not stopped half empty.
func TestAStepThatFailsIsTakenBack(t *testing.T) {
	for name, f := range map[string]func(c *town) (in func(string) error, want string){
		"the stop fails": func(*town) (func(string) error, string) { return neither, "drain w1 true, in w1, drain w1 false" },
		"it does not empty": func(c *town) (func(string) error, string) {
			c.stuck = true
			return neither, "drain w1 true, drain w1 false"
		},
		"no majority": func(c *town) (func(string) error, string) {
			c.deaf = errors.New("503")
			return neither, "drain w1 true, drain w1 false"
		},
		"it lives on": func(*town) (func(string) error, string) {
			return func(string) error { return nil }, "drain w1 true, in w1, drain w1 false"
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTown("w1")
				c.advice = client.Advice{Action: "in", Node: "w1"}
				in, want := f(c)
				events := c.run(t, 20*time.Minute, Limits{1, 9}, never, in)
				if got := strings.Join(c.log, ", "); !strings.HasPrefix(got, want) || c.nodes[1].State != "live" && c.deaf == nil && !strings.HasSuffix(got, "true") {
					t.Errorf("did %s, and the node is %s", got, c.nodes[1].State)
				}
				if !slices.ContainsFunc(events, func(e Event) bool { return e.Step == "failed" && e.Error != "" }) {
					t.Errorf("told %+v", events)
				}
			})
		})
	}
}

// The cluster advises to grow until the new node has been there for a while: one
// is started, not one every ten seconds.
func TestOneNodeIsStartedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		c.advice = client.Advice{Action: "out", Why: "CPU"}
		c.run(t, 10*time.Minute, Limits{1, 2}, func() error {
			c.joins = time.Now().Add(3 * time.Minute)
			return nil
		}, neither)
		if got := strings.Join(c.log, ", "); got != "out" {
			t.Errorf("did %s", got)
		}
	})
}

func TestAStopInADrainTakesItBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown("w1")
		c.stuck, c.advice = true, client.Advice{Action: "in", Node: "w1"}
		c.run(t, time.Minute, Limits{1, 9}, never, neither)
		if c.nodes[1].State != "live" {
			t.Errorf("did %v, and the node is %s", c.log, c.nodes[1].State)
		}
	})
}

// A reason that counts the minutes is not told every ten seconds.
func TestAReasonThatChangesIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTown()
		c.counts = true
		if events := c.run(t, 5*time.Minute+time.Second, Limits{1, 2}, never, neither); len(events) != 6 {
			t.Errorf("told %d times: %+v", len(events), events)
		}
	})
}

func TestDecisionsKeepTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []client.Node
		live, draining := 0, false
		for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
			n := client.Node{
				Node: fmt.Sprint("n", i), Core: rapid.Bool().Draw(t, "core"),
				State: rapid.SampledFrom([]string{"live", "live", "live", "draining", "dead"}).Draw(t, "state"),
			}
			nodes = append(nodes, n)
			if n.State == "live" {
				live++
			}
			draining = draining || n.State == "draining"
		}
		l := Limits{Min: rapid.IntRange(1, 4).Draw(t, "min")}
		l.Max = l.Min + rapid.IntRange(0, 3).Draw(t, "more")
		a := client.Advice{
			Action: rapid.SampledFrom([]string{"stay", "out", "in"}).Draw(t, "advice"),
			Node:   rapid.SampledFrom([]string{"", "n0", "n1", "n9"}).Draw(t, "node"),
		}
		got := Decide(a, nodes, l)
		switch {
		case got.Do == "stay":
			if live < l.Min && !draining {
				t.Fatalf("too few, and %+v", got)
			}
		case draining:
			t.Fatalf("two steps at a time: %+v", got)
		case got.Do == "out":
			if live >= l.Max {
				t.Fatalf("too many: %+v", got)
			}
		case got.Do == "in":
			i := slices.IndexFunc(nodes, func(n client.Node) bool { return n.Node == got.Node })
			if live <= l.Min || i < 0 || nodes[i].Core || nodes[i].State != "live" || a.Action != "in" {
				t.Fatalf("%+v", got)
			}
		}
	})
}
