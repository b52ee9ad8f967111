package peer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/peer"
	"github.com/atrium-iot/atrium/shared/id"
)

// watching begins a watch at a node and returns what it shows.
func (h *house) watching(ctx context.Context, sites ...id.Site) *seen {
	h.town.t.Helper()
	events, err := h.Watch(ctx, sites)
	if err != nil {
		h.town.t.Fatal(err)
	}
	h.town.t.Cleanup(events.Close)
	return see(events)
}

func TestAStreamOverSeveralOwnersIsOne(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	w.all("hq", "n2")
	w.all("far", "n3")
	hq, far := w.stores[0], w.stores[1]
	for i := range 10 {
		hq.put(fmt.Sprintf("hq/r%d", i), i+1)
	}
	far.put("far/r", 7)
	s := w.nodes["n1"].watching(t.Context())
	if err := s.shows(t.Context(), hq, far); err != nil {
		t.Fatal(err)
	}
	hq.put("hq/r3", 0)
	far.put("far/r", 8)
	if err := s.shows(t.Context(), hq, far); err != nil || s.ready != 1 {
		t.Fatal(err, s.ready)
	}
	one := w.nodes["n2"].watching(t.Context(), "far")
	if err := one.shows(t.Context(), far); err != nil {
		t.Fatal(err)
	}
	if hq.watchers() != 1 || far.watchers() != 2 {
		t.Errorf("%d and %d watch, want 1 and 2: who watches one site looks at its shard only", hq.watchers(), far.watchers())
	}
	if _, err := w.nodes["n1"].Watch(t.Context(), []id.Site{"nowhere"}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a watch of no site: %v", err)
	}
}

// What goes while a shard has no owner is told as gone: the stream that is
// opened next says nothing of it.
func TestAShardThatMovesIsFollowedWithoutAHole(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	w.all("hq", "n2")
	w.all("far", "n1")
	hq, far := w.stores[0], w.stores[1]
	for i := range 5 {
		hq.put(fmt.Sprintf("hq/r%d", i), 1)
	}
	s := w.nodes["n1"].watching(t.Context())
	if err := s.shows(t.Context(), hq, far); err != nil {
		t.Fatal(err)
	}
	for i, owner := range []string{"n3", "n1", "n2", "n3"} {
		w.all("hq", "")
		hq.end()
		hq.put(fmt.Sprintf("hq/r%d", i), 0)
		hq.put("hq/r4", 10+i)
		w.all("hq", owner)
		if err := s.shows(t.Context(), hq, far); err != nil {
			t.Fatalf("moved to %s: %v", owner, err)
		}
	}
	if s.ready != 1 {
		t.Errorf("ready %d times", s.ready)
	}
	if n := w.nodes["n1"].count("atrium_peer_watches_broken_total", ""); n < 4 {
		t.Errorf("%v streams ended, want 4 at least", n)
	}
}

func TestAStreamLeavesAnOwnerThatIsGone(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	w.all("hq", "n2")
	w.all("far", "n1")
	hq, far := w.stores[0], w.stores[1]
	hq.put("hq/r", 1)
	s := w.nodes["n1"].watching(t.Context())
	if err := s.shows(t.Context(), hq, far); err != nil {
		t.Fatal(err)
	}
	w.nodes["n2"].stop()
	hq.put("hq/r", 2)
	w.all("hq", "n3")
	if err := s.shows(t.Context(), hq, far); err != nil {
		t.Fatal(err)
	}
}

func TestAStreamThatIsLeftEndsAtTheOwner(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	w.all("far", "n2")
	ctx, cancel := context.WithCancel(t.Context())
	s := w.nodes["n1"].watching(ctx)
	if err := s.shows(t.Context(), w.stores...); err != nil {
		t.Fatal(err)
	}
	if n := w.nodes["n2"].count("atrium_peer_shown_shards", ""); n != 2 {
		t.Errorf("n2 shows %v shards, want 2", n)
	}
	cancel()
	if err := s.until(ctx, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.events.Close()
	w.nodes["n2"].stop() // waits for what it shows
	if n := w.stores[0].watchers() + w.stores[1].watchers(); n != 0 {
		t.Errorf("%d watch still", n)
	}
}

// A node asked for a shard of another says so, whatever its own picture is
// based on: two that name each other never show each other's stream.
func TestAShardOfAnotherIsNotShown(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.nodes["n1"].heard["hq"] = "n2"
	w.nodes["n2"].heard["hq"] = "n1"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	s := w.nodes["n1"].watching(ctx, "hq")
	n2 := w.nodes["n2"]
	err := s.until(ctx, func() bool { return n2.count("atrium_peer_misdirected_total", "") >= 2 })
	if err != nil || len(s.rooms)+s.ready != 0 {
		t.Errorf("%v, shown %v", err, s.rooms)
	}
}

func TestAnAskerIsToldWhatIsWrong(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	for q, want := range map[string]string{
		"shard=2": `query.shard: \"2\": want 0 to 1`, "shard=x": "want 0 to 1", "shard=-1": "want 0 to 1", "": "want 0 to 1",
		"shard=0&site=UP": "query.site",
	} {
		code, body := w.nodes["n1"].askPeer(w.nodes["n2"], "/peer/v1/watch?"+q)
		if code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%q = %d %s", q, code, body)
		}
	}
}

func TestAWatchEndsWhenNobodyShowsAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		var owned atomic.Bool
		p := peer.New(peer.Config{
			Node: "n1", Shards: 1,
			Owner: func(context.Context, int, bool) (peer.Owner, error) {
				if !owned.Load() {
					return peer.Owner{}, api.ErrUnavailable
				}
				return peer.Owner{Node: "n1"}, nil
			},
			Watch: func(context.Context, int, []id.Site) (api.Events, error) { return st.watch() },
		}, quiet, nil)
		defer p.Close()
		events, err := p.Watch(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer events.Close()
		s := see(events)
		go func() { // patience is for a takeover
			time.Sleep(25 * time.Second)
			owned.Store(true)
			time.Sleep(time.Minute)
			owned.Store(false)
			st.end()
		}()
		began := time.Now()
		if err := s.shows(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 25*time.Second || waited > 27*time.Second {
			t.Errorf("shown after %v", waited)
		}
		err = s.until(t.Context(), func() bool { return false })
		if waited := time.Since(began); !errors.Is(err, api.ErrUnavailable) || waited < 115*time.Second || waited > 120*time.Second {
			t.Errorf("after %v: %v", waited, err)
		}
	})
}

// A client that takes nothing must not fill a node's memory, nor hold up what
// others read over the same connection.
func TestAStreamThatIsNotReadHoldsUpNoOther(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	hq := w.stores[0]
	for i := range 100 {
		hq.put(fmt.Sprintf("hq/%d/%s", i, strings.Repeat("x", 20<<10)), 1) // 2 MB in all
	}
	w.nodes["n1"].watching(t.Context(), "hq") // and never looks
	for i := range 3 {
		s := w.nodes["n1"].watching(t.Context(), "hq")
		if err := s.shows(t.Context(), hq); err != nil {
			t.Fatal(err)
		}
		if code, _, _ := w.nodes["n1"].ask("GET", "/v1/sites/hq/devices", ""); code != http.StatusOK {
			t.Fatalf("round %d: %d", i, code)
		}
	}
}

// cable is the way to a node, which can be cut: what is sent then arrives
// nowhere, and nobody is told.
type cable struct {
	address string
	cut     atomic.Bool
}

func (w *town) lay(to string) *cable {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	c := &cable{address: l.Addr().String()}
	var ends sync.WaitGroup
	carry := func(dst, src net.Conn) {
		defer dst.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := src.Read(buf)
			if err != nil {
				return
			}
			if !c.cut.Load() {
				dst.Write(buf[:n])
			}
		}
	}
	ends.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			ends.Go(func() { carry(a, b) })
			ends.Go(func() { carry(b, a) })
		}
	})
	w.t.Cleanup(func() {
		l.Close()
		for _, n := range w.nodes {
			n.Close()
			n.stop()
		}
		ends.Wait()
	})
	return c
}

// A machine that loses its power says nothing.
func TestAnOwnerThatFallsSilentIsLeft(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	w.all("hq", "n2")
	hq, n1 := w.stores[0], w.nodes["n1"]
	way := w.lay(w.nodes["n2"].address)
	w.nodes["n2"].address = way.address
	hq.put("hq/r", 1)
	s := n1.watching(t.Context(), "hq")
	if err := s.shows(t.Context(), hq); err != nil {
		t.Fatal(err)
	}
	way.cut.Store(true)
	hq.put("hq/r", 2)
	n1.mu.Lock()
	n1.fresh["hq"] = "n3"
	n1.mu.Unlock()
	w.nodes["n3"].heard["hq"] = "n3"
	// As nothing changes, it may be asked again of whoever owns the site now.
	if code, got, _ := n1.ask("GET", "/v1/sites/hq/devices", ""); code != http.StatusOK || !strings.HasPrefix(got, "n3 GET") {
		t.Errorf("%d %s", code, got)
	}
	w.all("hq", "n3")
	if err := s.shows(t.Context(), hq); err != nil {
		t.Fatal(err)
	}
}
