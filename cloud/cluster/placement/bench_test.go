package placement

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDecide plans a cluster at rest, one whose node has just died, and one
// that has never been placed.
func BenchmarkDecide(b *testing.B) {
	for _, s := range []struct{ nodes, shards int }{{64, 64}, {1000, 4096}} {
		empty := &cluster{View{Now: noon, StableSince: noon.Add(-time.Minute)}}
		for i := range s.nodes {
			empty.Nodes = append(empty.Nodes, Node{Name: fmt.Sprintf("n%d", i), Zone: string(rune('a' + i%3)), Capacity: 4})
		}
		for i := range s.shards {
			empty.Shards = append(empty.Shards, Shard{Number: i, Zone: string(rune('a' + i%3)), Rate: float64(100 + i%7)})
		}
		rest := &cluster{empty.clone()}
		rest.perform(rest.decide(b).Moves)
		death := &cluster{rest.clone()}
		death.Nodes[0].State = Dead
		for _, c := range []struct {
			name string
			*cluster
		}{{"first", empty}, {"rest", rest}, {"death", death}} {
			b.Run(fmt.Sprintf("%dx%d/%s", s.nodes, s.shards, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.decide(b)
				}
			})
		}
	}
}
