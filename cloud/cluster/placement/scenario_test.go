package placement

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestPlacementFollowsItsScenarios scripts a cluster as text: nodes come, go,
// drain and grow hot, and the plans are shown and carried out.
func TestPlacementFollowsItsScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		c := &cluster{View{Now: noon, StableSince: noon.Add(-time.Hour)}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return c.run(t, d)
		})
	})
}

// cluster is a view that changes as plans say.
type cluster struct{ View }

// fataler is a test, or a property under test.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// decide is Decide of a view that must be valid.
func (c *cluster) decide(t fataler) Plan {
	t.Helper()
	p, err := Decide(c.View)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *cluster) clone() View {
	v := c.View
	v.Nodes, v.Shards = slices.Clone(v.Nodes), slices.Clone(v.Shards)
	return v
}

func (c *cluster) node(name string) *Node {
	return &c.Nodes[slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name })]
}

func (c *cluster) shard(number int) *Shard {
	return &c.Shards[slices.IndexFunc(c.Shards, func(s Shard) bool { return s.Number == number })]
}

// perform carries a plan out at once.
func (c *cluster) perform(moves []Move) {
	for _, m := range moves {
		c.shard(m.Shard).Owner, c.shard(m.Shard).Moving = m.To, ""
	}
}

// rest performs plans until there is nothing to do, and returns the moves.
func (c *cluster) rest(t fataler) []Move {
	t.Helper()
	var all []Move
	for range 20 * (len(c.Shards) + 1) {
		p := c.decide(t)
		if len(p.Moves) == 0 {
			return all
		}
		c.perform(p.Moves)
		all = append(all, p.Moves...)
	}
	t.Fatalf("%d moves and no rest", len(all))
	return nil
}

func (c *cluster) run(t *testing.T, d *datadriven.TestData) string {
	scan := func(key string, into any) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, into)
		}
	}
	var out strings.Builder
	switch d.Cmd {
	case "node": // node NAME [zone=Z] [capacity=C]: it joins, or is back
		n := Node{Name: d.CmdArgs[0].Key, Capacity: 4}
		scan("zone", &n.Zone)
		scan("capacity", &n.Capacity)
		c.Nodes = slices.DeleteFunc(c.Nodes, func(old Node) bool { return old.Name == n.Name })
		c.Nodes = append(c.Nodes, n)
		c.StableSince = c.Now
	case "kill", "drain": // kill|drain NAME...
		for _, a := range d.CmdArgs {
			c.node(a.Key).State = map[string]State{"kill": Dead, "drain": Draining}[d.Cmd]
		}
		if d.Cmd == "kill" {
			c.StableSince = c.Now
		}
	case "measure": // measure NAME [rate=R] [cpu=C] [mailbox=M] [growth=G]
		n := c.node(d.CmdArgs[0].Key)
		n.Load = NodeLoad{}
		scan("rate", &n.Load.Rate)
		scan("cpu", &n.Load.CPU)
		scan("mailbox", &n.Load.Mailbox)
		scan("growth", &n.Load.Growth)
	case "shards": // shards N [from=S] [zone=Z] [rate=R] [owner=NODE]: N more
		s := Shard{Number: len(c.Shards)}
		scan("from", &s.Number)
		scan("zone", &s.Zone)
		scan("rate", &s.Rate)
		scan("owner", &s.Owner)
		for range number(t, d) {
			c.Shards = append(c.Shards, s)
			s.Number++
		}
	case "moving": // moving SHARD NODE: a hand-over is under way
		c.shard(number(t, d)).Moving = d.CmdArgs[1].Key
	case "home": // home SHARD ZONE: most of its readings come from there now
		c.shard(number(t, d)).Zone = d.CmdArgs[1].Key
	case "handed-over": // all that were under way have ended
		for i, s := range c.Shards {
			if s.Moving != "" {
				c.Shards[i].Owner, c.Shards[i].Moving = s.Moving, ""
			}
		}
	case "wait": // wait DURATION
		pass, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		c.Now = c.Now.Add(pass)
	case "plan": // shows what is to be done now
		for _, m := range c.decide(t).Moves {
			fmt.Fprintf(&out, "%s: shard %d from %q to %s\n", m.By, m.Shard, m.From, m.To)
		}
	case "perform": // carries out the plan
		c.perform(c.decide(t).Moves)
		c.owners(&out)
	case "rest": // carries out plans until there is nothing left to do
		fmt.Fprintf(&out, "%d moves\n", len(c.rest(t)))
		c.owners(&out)
	case "why": // why SHARD
		why := c.decide(t).Why
		return why[slices.IndexFunc(why, func(r Reason) bool { return r.Shard == number(t, d) })].String()
	case "rules": // each shard's rule
		for _, r := range c.decide(t).Why {
			fmt.Fprintf(&out, "%d %s -> %s %v\n", r.Shard, r.Owner, r.Target, r.Rule)
		}
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return out.String()
}

// number is the command's first argument.
func number(t *testing.T, d *datadriven.TestData) (n int) {
	if _, err := fmt.Sscan(d.CmdArgs[0].Key, &n); err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}

func (c *cluster) owners(out *strings.Builder) {
	for _, n := range c.Nodes {
		fmt.Fprintf(out, "%s:", n.Name)
		for _, s := range c.Shards {
			if s.Owner == n.Name {
				fmt.Fprintf(out, " %d", s.Number)
			}
		}
		fmt.Fprintln(out)
	}
}
