package membership

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// rig is a cluster in a bubble: a bus and a store that all nodes share.
type rig struct {
	t   *testing.T
	bus *journaltest.Bus
	mem *journaltest.Mem
}

func newRig(t *testing.T) *rig {
	return &rig{t: t, bus: journaltest.NewBus(), mem: journaltest.NewMem(journaltest.Config{Sync: time.Millisecond})}
}

// life is one node's from its start to its stop.
type life struct {
	*Membership
	reg  *prometheus.Registry
	stop func() // ends Run, with a farewell

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
func (r *rig) start(name string, kv KV) *life {
	r.t.Helper()
	if kv == nil {
		kv = r.mem.KV("nodes")
	}
	l := &life{reg: prometheus.NewRegistry(), me: memberOf(name)}
	self := func() Member {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.me
	}
	m, err := New(Config{Node: name}, kv, r.bus.Node(name), self, slog.New(slog.DiscardHandler), l.reg)
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

func TestNodesMeetAndTellEachOtherWhatTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b := r.start("a", nil), r.start("b", nil)
		defer a.stop()
		defer b.stop()
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
		defer a.stop()
		defer b.stop()
		defer c.stop()
		time.Sleep(5 * time.Second)
		want(t, a, "a b c")
		c.stop()
		synctest.Wait()
		want(t, a, "a b c-")
		if since := time.Since(a.StableSince()); since > 10*time.Millisecond {
			t.Fatalf("stable for %v although a node has just left", since)
		}
	})
}
