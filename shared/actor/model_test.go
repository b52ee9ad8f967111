package actor

import (
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestMailboxIsAFIFOWithAnExactCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			pool  sync.Pool
			box   mailbox[int]
			into  [inlineSlots]int
			model []int // accepted, not taken
			taken []int // the batch in work
			next  int
		)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				for range rapid.IntRange(1, 2*chunkSlots+3).Draw(t, "n") {
					next++
					box.put(next, &pool)
					model = append(model, next)
				}
			},
			"take": func(t *rapid.T) {
				box.done(int32(len(taken)))
				budget := rapid.IntRange(0, 2*chunkSlots).Draw(t, "budget")
				batch := box.take(&into, int32(budget), &pool)
				if len(batch) > budget {
					t.Fatalf("took %d, budget %d", len(batch), budget)
				}
				if budget > 0 && len(batch) == 0 && len(model) > 0 {
					t.Fatalf("took nothing of %d", len(model))
				}
				if !slices.Equal(batch, model[:len(batch)]) {
					t.Fatalf("took %v, want %v", batch, model[:len(batch)])
				}
				taken, model = model[:len(batch)], model[len(batch):]
				clear(batch)
			},
			"rest": func(t *rapid.T) {
				if box.count == 0 {
					box.rest(&pool)
				}
			},
			"discard": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
					return
				}
				if got, want := int(box.discard()), len(model)+len(taken); got != want {
					t.Fatalf("discarded %d, want %d", got, want)
				}
				model, taken = nil, nil
			},
			"": func(t *rapid.T) {
				if got, want := int(box.count), len(model)+len(taken); got != want {
					t.Fatalf("count %d, want %d", got, want)
				}
			},
		})
	})
}

func TestASpentChunkKeepsNoMessageAlive(t *testing.T) {
	var pool sync.Pool
	var box mailbox[*int]
	var into [inlineSlots]*int
	for range 40 {
		box.put(new(int), &pool)
	}
	for box.count > 0 {
		batch := box.take(&into, 7, &pool)
		clear(batch)
		box.done(int32(len(batch)))
	}
	if box.slots != [inlineSlots]*int{} {
		t.Fatal("an inline slot still points to a message")
	}
	if c := box.head; c != nil && slices.ContainsFunc(c.buf[:], func(p *int) bool { return p != nil }) {
		t.Fatal("a chunk still points to a message")
	}
}
