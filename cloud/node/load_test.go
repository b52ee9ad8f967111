package node

import (
	"math"
	"testing"
	"time"
)

func TestALoadIsAveragedAndAShardThatCameOrWentLeavesNothing(t *testing.T) {
	var m meter
	readings := uint64(1_000_000) // of the time before this node had the shard
	for range 60 {
		readings += 500
		m.take([]count{{shard: 3, epoch: 1, readings: readings, lag: 7}, {shard: 4, epoch: 1}}, 0.5, time.Second)
	}
	if l := m.node(); math.Abs(l.Rate-500) > 5 || math.Abs(l.CPU-0.5) > 0.01 || l.Mailbox != 7 || math.Abs(l.Growth) > 0.1 {
		t.Fatalf("after a minute: %+v", l)
	}
	if r := m.rates([]int{4, 3, 9}); r[0] != 0 || math.Abs(r[1]-500) > 5 || r[2] != 0 {
		t.Fatalf("rates %v", r)
	}
	m.hear(9, 70)
	if r := m.rates([]int{9}); r[0] != 70 { // claimed, and not counted yet
		t.Fatalf("rates %v", r)
	}
	m.hear(3, 200)                                                      // of the owner meanwhile
	m.take([]count{{shard: 3, epoch: 2, readings: 40}}, 2, time.Second) // it is back
	if r := m.rates([]int{3}); r[0] != 200 || m.last(3) != 200 || m.last(5) != 0 {
		t.Fatalf("a shard that has come counts %v readings/s, want what its owner before said", r)
	}
	if l := m.node(); l.Rate != 200 || l.CPU > 0.6 || l.Mailbox != 0 || l.Growth >= 0 {
		t.Fatalf("after it came back: %+v", l)
	}
	m.take(nil, 0, time.Hour) // a long pause of the process
	if l := m.node(); l.CPU != 0 || l.Growth != 0 {
		t.Fatalf("after a pause: %+v", l)
	}
}
