package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// rig is a cluster in a bubble: a bus and a store that all nodes share.
type rig struct {
	t   *testing.T
	bus *journaltest.Bus
	mem *journaltest.Mem
	cut sync.Map // true by name
}

// flakyKV is the store over a network that fails.
type flakyKV struct {
	KV
	mute   atomic.Bool   // nothing is answered
	delay  atomic.Int64  // before the answer to a write
	breaks chan struct{} // takes what breaks a watch
}

func (k *flakyKV) Get(ctx context.Context, key string) (journal.Entry, error) {
	if k.mute.Load() {
		<-ctx.Done()
		return journal.Entry{}, ctx.Err()
	}
	return k.KV.Get(ctx, key)
}

func (k *flakyKV) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if k.mute.Load() {
		<-ctx.Done()
		return 0, journal.ErrAmbiguous
	}
	rev, err := k.KV.Put(ctx, key, value, revision)
	time.Sleep(time.Duration(k.delay.Load()))
	return rev, err
}

func (k *flakyKV) Watch(ctx context.Context, each func(journal.Entry), ready func()) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-k.breaks:
			cancel()
		case <-watching.Done():
		}
	}()
	shown := false
	return k.KV.Watch(watching, func(e journal.Entry) {
		if shown || e.Value != nil { // the markers of what was deleted are gone
			each(e)
		}
	}, func() { shown = true; ready() })
}

func newRig(t *testing.T) *rig {
	return &rig{t: t, bus: journaltest.NewBus(), mem: journaltest.NewMem(journaltest.Config{Sync: time.Millisecond})}
}

// life is one node's from its start to its stop.
type life struct {
	*Membership
	reg          *prometheus.Registry
	stop         func() // ends Run, with a farewell
	plug, unplug func() // its network

	mu sync.Mutex
	me Member
}

func (l *life) says(change func(*Member)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.me)
}

func memberOf(name string) Member {
	return Member{Name: name, Zone: "local", Version: "v1", Core: true, Capacity: 4, StartedAt: time.Now().UTC(), Peer: name + ":7443"}
}

// start runs a node; kv is nil for the store itself.
func (r *rig) start(name string, kv *flakyKV) *life {
	r.t.Helper()
	if kv == nil {
		kv = &flakyKV{KV: r.mem.KV("nodes")}
	}
	l := r.startAs(Config{Node: name}, kv)
	l.unplug = func() { r.lose(name, true); kv.mute.Store(true) }
	l.plug = func() { r.lose(name, false); kv.mute.Store(false) }
	return l
}

// lose makes the bus lose what a node says and is told, or no longer.
func (r *rig) lose(name string, on bool) {
	r.cut.Store(name, on)
	r.bus.Lose(func(from, to string) bool {
		a, _ := r.cut.Load(from)
		b, _ := r.cut.Load(to)
		return a == true || b == true
	})
}

func (r *rig) startAs(cfg Config, kv KV) *life {
	r.t.Helper()
	name := cfg.Node
	l := &life{reg: prometheus.NewRegistry(), me: memberOf(name)}
	self := func() Member {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.me
	}
	m, err := New(cfg, kv, r.bus.Node(name), self, slog.New(slog.DiscardHandler), l.reg)
	if err != nil {
		r.t.Fatal(err)
	}
	l.Membership = m
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	l.stop = sync.OnceFunc(func() { cancel(); <-ended })
	r.t.Cleanup(l.stop)
	return l
}

// sees says how a node sees the others, as "a b- c+": dead -, draining +.
func (l *life) sees() string {
	var all []string
	for _, m := range l.Members() {
		s := m.Name
		if m.Dead {
			s += "-"
		}
		if m.Draining {
			s += "+"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func want(t *testing.T, l *life, picture string) {
	t.Helper()
	if got := l.sees(); got != picture {
		t.Fatalf("%s sees %q, want %q", l.cfg.Node, got, picture)
	}
}

// counts compares a metric's values by the value of its only label.
func (l *life) counts(t *testing.T, name string, want map[string]float64) {
	t.Helper()
	families, err := l.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				label := ""
				for _, p := range m.GetLabel() {
					label = p.GetValue()
				}
				got[label] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	for label, n := range want {
		if got[label] != n {
			t.Errorf("%s of %s: %s is %v, want %v", name, l.cfg.Node, label, got[label], n)
		}
	}
}

func TestNodesMeetAndTellEachOtherWhatTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b := r.start("a", nil), r.start("b", nil)
		time.Sleep(time.Second)
		want(t, a, "a b")
		want(t, b, "a b")
		b.says(func(m *Member) { m.Shards, m.Gateways, m.Load = []int{3, 5}, 7, placement.NodeLoad{Rate: 10, CPU: 0.5} })
		time.Sleep(time.Second)
		got := a.Members()[1]
		if fmt.Sprint(got.Shards) != "[3 5]" || got.Gateways != 7 || got.Load.Rate != 10 || got.Peer != "b:7443" {
			t.Fatalf("a knows of b %+v", got)
		}
		if a.CutOff() || b.CutOff() {
			t.Fatal("a node whose writes are committed is cut off")
		}
	})
}

func TestASilentNodeDiesAndOneThatLeavesIsGoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b, c := r.start("a", nil), r.start("b", nil), r.start("c", nil)
		time.Sleep(5 * time.Second)
		want(t, a, "a b c")
		c.stop()
		synctest.Wait()
		want(t, a, "a b c-")
		if since := time.Since(a.StableSince()); since > 10*time.Millisecond {
			t.Fatalf("stable for %v although a node has just left", since)
		}
		b.unplug()
		time.Sleep(aloneAfter - 2*beatEvery)
		want(t, a, "a b c-")
		time.Sleep(anyAfter)
		want(t, a, "a b- c-")
		b.plug()
		time.Sleep(2 * time.Second)
		want(t, a, "a b c-")
		want(t, b, "a b c-")
		time.Sleep(2 * lingers)
		want(t, a, "a b")
		a.counts(t, "atrium_membership_changes_total", map[string]float64{"came": 2, "left": 1, "died": 1, "returned": 1})
		a.counts(t, "atrium_membership_members", map[string]float64{"live": 2, "draining": 0, "dead": 0})
	})
}

// A node that nobody hears on the bus is known by what it writes.
func TestANodeWhoseBeatsDoNotArriveLivesByItsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.bus.Lose(func(from, to string) bool { return from == "b" })
		a, b := r.start("a", nil), r.start("b", nil)
		time.Sleep(time.Minute)
		want(t, a, "a b")
		want(t, b, "a b")
		a.counts(t, "atrium_membership_changes_total", map[string]float64{"came": 1, "died": 0})
	})
}

// I3: only its own committed writes say that a node is not cut off, however well
// it hears its neighbours.
func TestANodeIsCutOffWhenNoMajorityTakesItsWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		kv := &flakyKV{KV: r.mem.KV("nodes")}
		a, b := r.start("a", kv), r.start("b", nil)
		if !a.CutOff() {
			t.Error("a node that has written nothing is not cut off")
		}
		time.Sleep(time.Second)
		if a.CutOff() || b.CutOff() {
			t.Fatal("cut off although its writes are committed")
		}
		kv.mute.Store(true)
		time.Sleep(time.Second)
		if a.CutOff() {
			t.Error("cut off after a second")
		}
		time.Sleep(anyAfter)
		if !a.CutOff() || b.CutOff() {
			t.Fatalf("no majority takes a's word: cut off %v, b %v", a.CutOff(), b.CutOff())
		}
		want(t, a, "a b")
		a.counts(t, "atrium_membership_cut_off", map[string]float64{"": 1})
		kv.mute.Store(false)
		time.Sleep(anyAfter + time.Second)
		if a.CutOff() {
			t.Fatal("cut off although its writes are committed again")
		}
	})
}

// A write that a majority took long ago says nothing of now, whenever the answer
// comes.
func TestALateAnswerIsAsOldAsItsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		kv := &flakyKV{KV: r.mem.KV("nodes")}
		kv.delay.Store(int64(2900 * time.Millisecond))
		a := r.start("a", kv)
		time.Sleep(2950 * time.Millisecond)
		if a.CutOff() {
			t.Fatal("its first write was committed")
		}
		time.Sleep(100 * time.Millisecond)
		if !a.CutOff() {
			t.Fatal("what was said three seconds ago is believed")
		}
	})
}

func TestEveryNodeKnowsWhichOnesAreToDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b := r.start("a", nil), r.start("b", nil)
		time.Sleep(time.Second)
		changed := a.Changed()
		for _, l := range []*life{b, b, a} { // twice is once
			if err := l.Drain(t.Context(), "b", true); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Drain(t.Context(), "later", true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, a, "a b+")
		want(t, b, "a b+")
		select {
		case <-changed:
		default:
			t.Error("a drain is no change")
		}
		c := r.start("later", nil)
		time.Sleep(time.Second)
		want(t, c, "a b+ later+")
		for range 2 {
			if err := c.Drain(t.Context(), "b", false); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		want(t, a, "a b later+")
		if err := a.Drain(t.Context(), "No Node", true); err == nil {
			t.Error("a node that no certificate names is drained")
		}
	})
}

func TestWhatIsChangedWhileNobodyWatchesIsSeenAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		kv := &flakyKV{KV: r.mem.KV("nodes"), breaks: make(chan struct{})}
		a, b := r.start("a", kv), r.start("b", nil)
		if err := b.Drain(t.Context(), "a", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want(t, a, "a+ b")
		kv.breaks <- struct{}{}
		synctest.Wait()
		if err := b.Drain(t.Context(), "a", false); err != nil {
			t.Fatal(err)
		}
		want(t, a, "a+ b")
		time.Sleep(2 * watchPause)
		want(t, a, "a b")
	})
}

func TestANodeThatStartsAgainGoesOnWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b := r.start("a", nil), r.start("b", nil)
		time.Sleep(time.Second)
		b.unplug()
		b.stop() // a crash: no farewell arrives, and the document stays
		again := r.start("b", nil)
		time.Sleep(3 * time.Second)
		want(t, a, "a b")
		want(t, again, "a b")
		if again.CutOff() {
			t.Fatal("its writes are refused for what its life before wrote")
		}
		a.counts(t, "atrium_membership_changes_total", map[string]float64{"came": 2, "died": 0, "left": 0})
	})
}

// I6: what another node says badly changes nothing and is counted.
func TestBadWordsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a := r.start("a", nil)
		time.Sleep(time.Second)
		for _, words := range []string{"", "{}", "\x00", `{"version":2,"name":"b","boot":1,"seq":1,"capacity":1}`, strings.Repeat(" ", maxDocument+1)} {
			if err := r.bus.Node("b").Publish(beats, []byte(words)); err != nil {
				t.Fatal(err)
			}
		}
		d := documentOf(memberOf("b"))
		d.Boot, d.Seq = 1, 1
		b, err := d.encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"node.c", "other", "node.d"} {
			if _, err := r.mem.KV("nodes").Put(t.Context(), key, b[:len(b)-len(key)%2], 0); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		want(t, a, "a")
		a.counts(t, "atrium_membership_ignored_total", map[string]float64{"malformed": 7})
		if err := r.bus.Node("b").Publish(beats, b); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, a, "a b")
	})
}

func TestAnInvalidDocumentOfItsOwnIsNotSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b := r.start("a", nil), r.start("b", nil)
		time.Sleep(time.Second)
		b.says(func(m *Member) { m.Load.CPU, m.Gateways = math.NaN(), 3 })
		time.Sleep(time.Minute)
		want(t, a, "a b")
		if got := a.Members()[1]; got.Gateways != 0 {
			t.Fatalf("a knows of b %+v", got)
		}
		b.says(func(m *Member) { m.Load.CPU = 1 })
		time.Sleep(time.Second)
		if got := a.Members()[1]; got.Gateways != 3 {
			t.Fatalf("a knows of b %+v", got)
		}
	})
	bad := func() Member { return Member{Capacity: -1} }
	if _, err := New(Config{Node: "a"}, nil, nil, bad, slog.New(slog.DiscardHandler), nil); err == nil || !strings.Contains(err.Error(), "capacity") {
		t.Errorf("a node of capacity -1: %v", err)
	}
	if _, err := New(Config{Node: "A b"}, nil, nil, bad, slog.New(slog.DiscardHandler), nil); err == nil || !strings.Contains(err.Error(), "A b") {
		t.Errorf("a node named \"A b\": %v", err)
	}
}

func TestLoadsAreNoChangeAndShardsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b := r.start("a", nil), r.start("b", nil)
		time.Sleep(time.Second)
		for _, l := range []*life{a, b} {
			changed := a.Changed()
			l.says(func(m *Member) { m.Load.Rate++; m.Gateways++ })
			time.Sleep(time.Second)
			select {
			case <-changed:
				t.Errorf("%s: another load is a change", l.cfg.Node)
			default:
			}
			l.says(func(m *Member) { m.Shards = append(m.Shards, 1) })
			time.Sleep(time.Second)
			select {
			case <-changed:
			default:
				t.Errorf("%s: another shard is no change", l.cfg.Node)
			}
		}
	})
}

func TestANodeAloneWritesNothingAndIsNeverCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a := r.startAs(Config{Node: "a", Alone: true}, r.mem.KV("nodes"))
		a.says(func(m *Member) { m.Gateways = 5 })
		time.Sleep(time.Minute)
		if keys, err := r.mem.KV("nodes").Keys(t.Context()); err != nil || len(keys) != 0 {
			t.Fatalf("it wrote %v, %v", keys, err)
		}
		if err := a.Drain(t.Context(), "a", true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, a, "a+")
		if m := a.Members(); a.CutOff() || m[0].Gateways != 5 {
			t.Fatalf("cut off: %v, %+v", a.CutOff(), m)
		}
	})
}

func TestTheDocumentOfADeadNodeIsRemovedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b := r.start("a", nil), r.start("b", nil)
		time.Sleep(time.Second)
		b.unplug()
		b.stop()
		time.Sleep(anyAfter)
		a.Membership.mu.Lock()
		a.m.nodes["b"].deadAt = time.Now().Add(time.Minute - forgetAfter) // the day but for a minute
		a.Membership.mu.Unlock()
		time.Sleep(30 * time.Second)
		want(t, a, "a b-")
		time.Sleep(time.Minute)
		if _, err := r.mem.KV("nodes").Get(t.Context(), "node.b"); !errors.Is(err, journal.ErrNotFound) {
			t.Fatalf("its document after a day: %v", err)
		}
		want(t, a, "a")
	})
}
