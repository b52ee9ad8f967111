package membership

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// patience bounds what must happen.
const patience = time.Minute

// What holds over the doubles holds over three real servers: nodes meet, one
// leaves and comes again, one dies, and what is left of three is cut off (I3).
func TestThreeRealNodesSeeEachOtherComeAndGo(t *testing.T) {
	nodes := journaltest.StartNodes(t)
	var lives []*life
	for i := range nodes.Servers {
		lives = append(lives, startReal(t, nodes, i))
	}
	for _, l := range lives {
		l.until(t, "n1 n2 n3")
		l.untilCutOff(t, false)
	}
	lives[2].stop()
	lives[0].until(t, "n1 n2 n3-")
	lives[1].until(t, "n1 n2 n3-")
	lives[2] = startReal(t, nodes, 2)
	lives[0].until(t, "n1 n2 n3")
	if err := lives[0].Drain(t.Context(), "n2", true); err != nil {
		t.Fatal(err)
	}
	for _, l := range lives {
		l.until(t, "n1 n2+ n3")
	}
	nodes.Stop(2)
	lives[0].until(t, "n1 n2+ n3-")
	lives[0].untilCutOff(t, false) // two of three are a majority
	nodes.Stop(1)
	lives[0].untilCutOff(t, true)
}

func startReal(t *testing.T, nodes *journaltest.Nodes, i int) *life {
	t.Helper()
	kv, err := journal.OpenKV(t.Context(), nodes.Servers[i], "nodes")
	if err != nil {
		t.Fatal(err)
	}
	me := memberOf(nodes.Configs[i].Name)
	m, err := New(Config{Node: me.Name}, kv, nodes.Servers[i].Bus(nil), func() Member { return me }, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{Membership: m}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	l.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(l.stop)
	return l
}

// until waits for how a node sees the others.
func (l *life) until(t *testing.T, picture string) {
	t.Helper()
	late := time.After(patience)
	for {
		changed := l.Changed()
		if l.sees() == picture {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s sees %q, want %q", l.cfg.Node, l.sees(), picture)
		}
	}
}

func (l *life) untilCutOff(t *testing.T, want bool) {
	t.Helper()
	for late := time.Now().Add(patience); l.CutOff() != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%s is cut off: %v, want %v", l.cfg.Node, !want, want)
		}
	}
}
