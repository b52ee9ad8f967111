package placement

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAViewThatContradictsItselfIsRefused (I6): the error names what is wrong,
// and nothing is decided.
func TestAViewThatContradictsItselfIsRefused(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, spoil := range map[string]func(v *View){
		`it has no time`:                           func(v *View) { v.Now = v.Now.AddDate(-2025, -10, -22).Add(-12 * 3600e9) },
		`1025 nodes and 2 shards, at most 1024`:    func(v *View) { v.Nodes = make([]Node, MaxNodes+1) },
		`2 nodes and 4097 shards`:                  func(v *View) { v.Shards = make([]Shard, MaxShards+1) },
		`node "": it has no name`:                  func(v *View) { v.Nodes[1].Name = "" },
		`node "n1" is there twice`:                 func(v *View) { v.Nodes[1].Name = "n1" },
		`node "n2": state 3, want live`:            func(v *View) { v.Nodes[1].State = Dead + 1 },
		`node "n2": capacity NaN`:                  func(v *View) { v.Nodes[1].Capacity = nan },
		`node "n2": capacity 0, want 0.01`:         func(v *View) { v.Nodes[1].Capacity = 0 },
		`node "n2": capacity +Inf`:                 func(v *View) { v.Nodes[1].Capacity = inf },
		`node "n2": -1 readings/s`:                 func(v *View) { v.Nodes[1].Load.Rate = -1 },
		`node "n2": CPU share 1.5, want 0 to 1`:    func(v *View) { v.Nodes[1].Load.CPU = 1.5 },
		`node "n2": CPU share NaN`:                 func(v *View) { v.Nodes[1].Load.CPU = nan },
		`node "n2": NaN waiting messages`:          func(v *View) { v.Nodes[1].Load.Mailbox = nan },
		`node "n2": mailboxes that grow by -Inf`:   func(v *View) { v.Nodes[1].Load.Growth = -inf },
		`shard -1: want a number`:                  func(v *View) { v.Shards[1].Number = -1 },
		`shard 0 is there twice`:                   func(v *View) { v.Shards[1].Number = 0 },
		`shard 1: NaN readings/s`:                  func(v *View) { v.Shards[1].Rate = nan },
		`shard 1: +Inf readings/s`:                 func(v *View) { v.Shards[1].Rate = inf },
		`shard 1: its owner "n3" is not among`:     func(v *View) { v.Shards[1].Owner = "n3" },
		`shard 1: it moves to "n3", which is not`:  func(v *View) { v.Shards[1].Moving = "n3" },
		`shard 1: it moves to "n1" and has no own`: func(v *View) { v.Shards[1].Owner, v.Shards[1].Moving = "", "n1" },
		`shard 1: it moves to its owner "n2"`:      func(v *View) { v.Shards[1].Moving = "n2" },
	} {
		v := View{
			Now: noon, StableSince: noon,
			Nodes:  []Node{{Name: "n1", Capacity: 1}, {Name: "n2", Capacity: 1}},
			Shards: []Shard{{Number: 0}, {Number: 1, Owner: "n2"}},
		}
		if _, err := Decide(v); err != nil {
			t.Fatal(err)
		}
		spoil(&v)
		p, err := Decide(v)
		if !errors.Is(err, ErrView) || !strings.Contains(err.Error(), name) || p.Moves != nil || p.Why != nil {
			t.Errorf("%s: got %v and %v", name, p, err)
		}
	}
}

// TestAnyViewGivesAPlanOrAnError draws numbers from the whole range: whatever
// comes in, no float that is none, no panic and no endless moving comes out.
func TestAnyViewGivesAPlanOrAnError(t *testing.T) {
	number := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1), rapid.Float64Range(0.01, 1e4),
		rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, math.MaxFloat64, 1e11}))
	name := rapid.SampledFrom([]string{"", "n1", "n2", "n3", "n4"})
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{View{Now: noon, StableSince: noon.AddDate(0, 0, -1)}}
		for i := range rapid.IntRange(0, 4).Draw(t, "nodes") {
			c.Nodes = append(c.Nodes, Node{
				Name: fmt.Sprintf("n%d", i+1), Capacity: number.Draw(t, "capacity"), State: State(rapid.IntRange(0, 2).Draw(t, "state")),
				Load: NodeLoad{Rate: number.Draw(t, "rate"), CPU: number.Draw(t, "CPU"), Mailbox: number.Draw(t, "mailbox"), Growth: number.Draw(t, "growth")},
			})
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "shards") {
			c.Shards = append(c.Shards, Shard{Number: i, Rate: number.Draw(t, "rate"), Owner: name.Draw(t, "owner"), Moving: name.Draw(t, "moving")})
		}
		if _, err := Decide(c.View); err != nil {
			return
		}
		for i := range c.Shards {
			c.Shards[i].Moving = ""
		}
		c.rest(t)
		for _, r := range c.decide(t).Why {
			for _, k := range r.Candidates {
				if sum := k.Score + k.Weight + k.Health + k.Fill; math.IsNaN(sum) || math.IsInf(sum, 0) || k.Score <= 0 {
					t.Fatalf("%+v", k)
				}
			}
		}
	})
}
