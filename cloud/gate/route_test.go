package gate

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// places is where a site is and has been, and whether the owners there have
// forwarded.
type places struct {
	mu     sync.Mutex
	route  Route
	passed bool
	asked  []int
}

func (p *places) config(cfg *Config) {
	cfg.Route = func(id.Site) (Route, bool) { p.mu.Lock(); defer p.mu.Unlock(); return p.route, true }
	cfg.Passed = func(_ context.Context, shard int, _ id.Site, _ uint64) (bool, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = append(p.asked, shard)
		return p.passed, nil
	}
}

func (p *places) set(f func()) { p.mu.Lock(); f(); p.mu.Unlock() }

// I1: a connection whose site moves rests until what it appended before is where
// the site is, and goes on with the next frame: it is not ended, and nothing is
// sent twice.
func TestAFrameWaitsForWhatIsLate(t *testing.T) {
	p := &places{route: Route{Shard: 1, Revision: 1}}
	inWorld(t, p.config, func(w *world) {
		e := w.open("hq/gw")
		e.send(testFrame("a", 1, 1, 1))
		e.wantAck(1)
		p.set(func() { p.route = Route{Shard: 2, Past: []int{3, 1}, Revision: 2} })
		e.send(testFrame("a", 2, 1, 1))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.journal.kinds(); !strings.HasSuffix(got, "frame mark") {
			t.Fatalf("journaled before the first shard was passed: %s", got)
		}
		p.set(func() { p.passed = true })
		e.wantAck(2)
		if got := w.journal.kinds(); !strings.HasSuffix(got, "frame mark mark frame") {
			t.Fatalf("journaled: %s", got)
		}
		p.set(func() {
			if last := len(p.asked) - 1; p.asked[0] != 3 || p.asked[last] != 1 {
				t.Errorf("asked %v, want 3 before 1", p.asked)
			}
		})
	})
}

// A shard that nobody owns for long ends the connection: the gateway comes again.
func TestAConnectionDoesNotWaitForEverForWhatIsLate(t *testing.T) {
	p := &places{route: Route{Shard: 2, Past: []int{1}, Revision: 2}}
	inWorld(t, p.config, func(w *world) {
		e := w.connect("hq/gw")
		e.wantClose(wire.CloseBusy, "shard 1")
		if got := w.journal.kinds(); got != "mark" {
			t.Errorf("journaled: %s", got)
		}
	})
}
