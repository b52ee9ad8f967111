package placement

import (
	"math"
	"testing"
)

// TestTheHashIsFixed pins where shards are: another hash would move them all,
// and nodes of two versions would disagree.
func TestTheHashIsFixed(t *testing.T) {
	for _, c := range []struct {
		node  string
		shard int
		hash  uint64
		score uint64 // bits, of weight 4
	}{
		{"n1", 0, 0x25f67787b158782b, 0x4000c43703450237},
		{"n1", 1, 0x8535459b14ab2549, 0x40187e0b53d50b69},
		{"n2", 0, 0x12c1d8327610c40a, 0x3ff87cbfd2a71059},
		{"", 63, 0x5440e74b20fcb3c, 0x3ff07a66c50bd4d8},
		{"core-a.example.org", 4095, 0x600ed382a14f3282, 0x401052a0a6117ddf},
		{"zürich", 7, 0x5bd5fcd957ce208e, 0x400f36d625edab60},
	} {
		node, shard := hashNode(c.node), hashShard(c.shard)
		if got := mix(node ^ shard); got != c.hash {
			t.Errorf("hash of (%q, %d) is %#x, want %#x", c.node, c.shard, got, c.hash)
		}
		if got := math.Float64bits(score(4, node, shard)); got != c.score {
			t.Errorf("score of (%q, %d) has the bits %#x, want %#x", c.node, c.shard, got, c.score)
		}
	}
}

// TestTheLogarithmIsALogarithm compares it with the standard library's, which
// may differ in its last bit from machine to machine.
func TestTheLogarithmIsALogarithm(t *testing.T) {
	h := uint64(0)
	for range 200_000 {
		for _, x := range []float64{unit(h), unit(^h), unit(h >> 40)} {
			if got, want := ln(x), math.Log(x); math.Abs(got/want-1) > 1e-11 {
				t.Fatalf("ln(%v) is %v, want %v", x, got, want)
			}
		}
		h = mix(h + golden)
	}
	for _, x := range []float64{unit(0), unit(math.MaxUint64)} {
		if x <= 0 || x >= 1 || math.IsInf(ln(x), 0) || ln(x) == 0 {
			t.Errorf("the ends of the scale give ln(%v) = %v", x, ln(x))
		}
	}
}

// TestANodeRanksFirstByItsWeight counts first ranks over many shards: as many as
// the weight says, for names that differ in one letter and for long ones.
func TestANodeRanksFirstByItsWeight(t *testing.T) {
	nodes := []struct {
		name   string
		weight float64
	}{{"n1", 1}, {"n2", 1}, {"n3", 2}, {"core-1.rack-7.example.org", 4}, {"core-2.rack-7.example.org", 8}}
	const shards = 100_000
	first := make([]float64, len(nodes))
	for number := range shards {
		best, at := 0.0, 0
		for i, n := range nodes {
			if s := score(n.weight, hashNode(n.name), hashShard(number)); s > best {
				best, at = s, i
			}
		}
		first[at]++
	}
	for i, n := range nodes {
		want := shards * n.weight / 16
		if deviation := math.Abs(first[i]-want) / math.Sqrt(want); deviation > 4 {
			t.Errorf("%s ranks first for %.0f shards, want %.0f", n.name, first[i], want)
		}
	}
}
