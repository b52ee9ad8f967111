package placement

import (
	"testing"
	"time"
)

// What would be better off elsewhere waits until a drain is over: where that is
// depends on what the drain leaves, and each move pauses somebody's commands.
func TestWhileANodeDrainsOnlyItsShardsMove(t *testing.T) {
	v := View{Now: noon, StableSince: noon.Add(-time.Hour)}
	for _, name := range []string{"a", "b", "c"} {
		v.Nodes = append(v.Nodes, Node{Name: name, Capacity: 4})
	}
	for i := range 12 {
		v.Shards = append(v.Shards, Shard{Number: i, Owner: "a"})
	}
	v.Shards[3].Owner = "c"
	c := &cluster{v}
	if p := c.decide(t); len(p.Moves) == 0 || p.Moves[0].From != "a" {
		t.Fatalf("a node that has nearly all shards gives none away: %v", p.Moves)
	}
	c.node("c").State = Draining
	p := c.decide(t)
	if len(p.Moves) != 1 || p.Moves[0].From != "c" || p.Moves[0].Shard != 3 {
		t.Fatalf("while c drains: %v", p.Moves)
	}
	if rule := p.Why[0].Rule; rule != WaitingForStability {
		t.Fatalf("shard 0: %v", rule)
	}
	c.perform(p.Moves)
	if p := c.decide(t); len(p.Moves) == 0 || p.Moves[0].From != "a" {
		t.Fatalf("once it is empty: %v", p.Moves)
	}
}
