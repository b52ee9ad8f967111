package membership

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// known is what the oracle keeps of a node: nothing but when and of which life
// it last had news.
type known struct {
	boot, seq uint64
	former    uint64
	at        time.Duration // in the time that this node was awake
	left      bool
}

// TestSilenceAloneKillsAndOnlyLong compares the machine with an oracle that
// knows silences: who had news within 1.5 s of waking time lives, who had none
// for 3 s does not, and words of old lives are no news. In between either is
// right; the scenarios say which.
func TestSilenceAloneKillsAndOnlyLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, awake := noon, time.Duration(0)
		m := newMachine("me", 1, now)
		oracle := map[string]*known{}
		boots := uint64(1)
		for range rapid.IntRange(1, 300).Draw(t, "events") {
			pause := rapid.SampledFrom([]time.Duration{0, 0, 10, 250, 250, 300, 600, -1000, 3_600_000}).Draw(t, "pause") * time.Millisecond
			now = now.Add(pause)
			awake += min(max(pause, 0), longestStep)
			e := drawEvent(t, oracle, &boots, awake)
			for _, o := range m.step(now, e) {
				if o.moves() && !m.stable.Equal(now) {
					t.Fatalf("%s %v at %v, stable since %v", o.name, o.change, now, m.stable)
				}
				if o.change == gone {
					delete(oracle, o.name) // its old words would be a stranger's
				}
			}
			compare(t, m, oracle, awake, e.kind == tick)
		}
	})
}

// drawEvent makes an event and tells the oracle what it means.
func drawEvent(t *rapid.T, oracle map[string]*known, boots *uint64, awake time.Duration) event {
	kind := rapid.SampledFrom([]eventKind{tick, tick, beat, beat, beat, beat, written, erased}).Draw(t, "event")
	name := fmt.Sprintf("n%d", rapid.IntRange(1, 4).Draw(t, "node"))
	if kind == tick || kind == erased {
		return event{kind: kind, name: name}
	}
	k := oracle[name]
	d := document{Name: name, Seq: 1}
	if k == nil || rapid.IntRange(0, 9).Draw(t, "life") == 0 { // a new one
		*boots++
		d.Boot = *boots
		if k == nil {
			k = &known{}
			oracle[name] = k
		}
		k.former = k.boot
		k.boot, k.seq, k.at, k.left = d.Boot, 1, awake, false
		return event{kind: kind, doc: d, revision: 1}
	}
	d.Boot, d.Seq = k.boot, k.seq+uint64(rapid.IntRange(1, 3).Draw(t, "ahead"))
	switch rapid.SampledFrom([]string{"news", "news", "news", "old", "former", "farewell"}).Draw(t, "words") {
	case "old":
		d.Seq = uint64(rapid.IntRange(1, int(k.seq)).Draw(t, "seq"))
	case "former":
		if k.former != 0 {
			d.Boot = k.former
		} else {
			d.Seq = k.seq
		}
	case "farewell":
		d.Leaving = true
		if !k.left {
			k.seq, k.left = d.Seq, true
		}
	default:
		if !k.left {
			k.seq, k.at = d.Seq, awake
		}
	}
	return event{kind: kind, doc: d, revision: 1}
}

func compare(t *rapid.T, m *machine, oracle map[string]*known, awake time.Duration, judged bool) {
	all := m.members(Member{Name: "me"}, noon)
	if !slices.IsSortedFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) }) {
		t.Fatalf("members out of order: %+v", all)
	}
	lives := map[string]bool{}
	for _, o := range all {
		lives[o.Name] = !o.Dead
	}
	for name, k := range oracle {
		silence := awake - k.at
		switch {
		case k.left && lives[name]:
			t.Fatalf("%s left and lives", name)
		case !k.left && silence < aloneAfter && !lives[name]:
			t.Fatalf("%s is dead after a silence of %v", name, silence)
		case judged && silence >= anyAfter && lives[name]:
			t.Fatalf("%s lives after a silence of %v", name, silence)
		}
	}
}
