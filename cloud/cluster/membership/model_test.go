package membership

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// known is what the oracle keeps of a node: nothing but since when and in which
// life it is silent.
type known struct {
	boot, seq  uint64
	silent     time.Time
	beat       time.Time // the last of its life
	left, dead bool
}

// TestSilenceAloneKillsAndOnlyLong compares the machine with an oracle that
// knows silences: who had news within 1.5 s lives, who had none for 3 s does not,
// what the store shows of another life than the one that beats is no news, and a node of which no majority took the word
// for two seconds judges nobody. Between 1.5 and 3 s either is right; the
// scenarios say which.
func TestSilenceAloneKillsAndOnlyLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, boots, revisions := noon, uint64(1), uint64(0)
		m := newMachine("me", 1, now)
		oracle := map[string]*known{}
		for range rapid.IntRange(1, 300).Draw(t, "events") {
			pause := rapid.SampledFrom([]int{0, 0, 10, 250, 250, 300, 600, 1600, 60_000}).Draw(t, "pause")
			now = now.Add(time.Duration(pause) * time.Millisecond)
			e := drawEvent(t, oracle, &boots, &revisions, now)
			for _, o := range m.step(now, e) {
				if o.moves() && !m.stable.Equal(now) {
					t.Fatalf("%s %v at %v, stable since %v", o.name, o.change, now, m.stable)
				}
				switch k := oracle[o.name]; o.change {
				case died:
					if k.dead || k.left || e.own >= doubtAfter || now.Sub(k.silent) < aloneAfter {
						t.Fatalf("%s died: %+v, after %v, with a write of %v ago", o.name, k, now.Sub(k.silent), e.own)
					}
					k.dead = true
				case gone:
					delete(oracle, o.name) // its old words would be a stranger's
				}
			}
			compare(t, m, oracle, e, now)
		}
	})
}

// drawEvent makes an event and tells the oracle what it means.
func drawEvent(t *rapid.T, oracle map[string]*known, boots, revisions *uint64, now time.Time) event {
	kind := rapid.SampledFrom([]eventKind{tick, tick, beat, beat, beat, beat, written, erased}).Draw(t, "event")
	name := fmt.Sprintf("n%d", rapid.IntRange(1, 4).Draw(t, "node"))
	switch kind {
	case erased:
		return event{kind: kind, name: name}
	case tick:
		own := rapid.SampledFrom([]int{0, 500, 1000, 1999, 2000, 2999, 3000, 60_000}).Draw(t, "own")
		e := event{kind: kind, own: time.Duration(own) * time.Millisecond}
		for _, k := range oracle {
			if e.own >= cutOffAfter {
				k.silent = now
			}
		}
		return e
	}
	*revisions++
	e := event{kind: kind, doc: document{Name: name, Seq: 1}, revision: *revisions}
	k := oracle[name]
	if k == nil || rapid.IntRange(0, 9).Draw(t, "life") == 0 { // another one
		*boots++
		e.doc.Boot = *boots
		if k != nil && kind == written && !k.dead && !k.left && now.Sub(k.beat) <= freshFor {
			return e // not the one that beats
		}
		oracle[name] = &known{boot: *boots, seq: 1, silent: now}
		k = oracle[name]
	} else {
		e.doc.Boot, e.doc.Seq = k.boot, k.seq+uint64(rapid.IntRange(1, 3).Draw(t, "ahead"))
		switch rapid.SampledFrom([]string{"news", "news", "news", "old", "farewell"}).Draw(t, "words") {
		case "old":
			e.doc.Seq = uint64(rapid.IntRange(1, int(k.seq)).Draw(t, "seq"))
			return e
		case "farewell":
			e.doc.Leaving, k.left = true, true
			return e
		}
		if k.left {
			return e
		}
		k.seq, k.silent, k.dead = e.doc.Seq, now, false
	}
	k.beat = time.Time{}
	if kind == beat {
		k.beat = now
	}
	return e
}

func compare(t *rapid.T, m *machine, oracle map[string]*known, e event, now time.Time) {
	all := m.members(Member{Name: "me"}, now)
	if !slices.IsSortedFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) }) {
		t.Fatalf("members out of order: %+v", all)
	}
	if len(all) != len(oracle)+1 {
		t.Fatalf("%d members, want %d and this node", len(all), len(oracle))
	}
	for _, o := range all {
		k := oracle[o.Name]
		if k == nil {
			continue // this node
		}
		if lives := !k.dead && !k.left; lives == o.Dead {
			t.Fatalf("%s is dead: %v, want %+v", o.Name, o.Dead, k)
		}
		if silence := now.Sub(k.silent); !o.Dead && e.kind == tick && e.own < doubtAfter && silence >= anyAfter {
			t.Fatalf("%s lives after a silence of %v", o.Name, silence)
		}
	}
}
