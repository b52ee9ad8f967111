package gate

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestAGatewayIsToldOfTheOtherGatesAfterItsWelcome(t *testing.T) {
	inWorld(t, func(c *Config) {
		c.Nodes = func() []string { return []string{"n1:7443", "no address", "n2:7443"} }
		c.Owner = func(site id.Site) (string, bool) { return "n2:7443", site != "hq" }
	}, func(w *world) {
		e := w.connect("hq/gw")
		e.want(wire.KindWelcome)
		nodes, err := wire.ParseNodes(e.want(wire.KindNodes))
		if diff := cmp.Diff([]string{"n1:7443", "n2:7443"}, nodes.Addresses); diff != "" || err != nil {
			t.Errorf("%s %v", diff, err)
		}
		if !strings.Contains(w.log.String(), "no address") {
			t.Error("the log does not say which address gateways are not told of")
		}
		redirect, err := wire.ParseRedirect(e.want(wire.KindRedirect))
		if err != nil || redirect.Address != "n2:7443" || redirect.Reason != wire.RedirectOwner {
			t.Errorf("%+v, %v", redirect, err)
		}
		if n := w.counted("atrium_gate_redirects_total"); n != 1 {
			t.Errorf("%v redirects were counted", n)
		}
		// It is served until it has another gate.
		e.openLane()
		e.send(testSchema("a", 1, "hq/c1", 10))
		e.send(testClock("a", 1, 100))
		e.send(testFrame("a", 1, 1, 1))
		e.wantAck(1)

		other := w.connect("lab/gw")
		other.want(wire.KindWelcome)
		other.want(wire.KindNodes)
		other.openLane()
		other.send(testGap("b", 1, 1))
		other.want(wire.KindAck)
	})
}

// A shard moves while its gateways are connected: they follow, and those of
// other sites are left alone.
func TestGatewaysAreToldOnceWhenTheirSitesOwnerMoves(t *testing.T) {
	var owner atomic.Value
	owner.Store("")
	inWorld(t, func(c *Config) {
		c.Owner = func(site id.Site) (string, bool) {
			at := owner.Load().(string)
			return at, site != "hq" || at == ""
		}
	}, func(w *world) {
		e, other := w.connect("hq/gw"), w.connect("lab/gw")
		e.want(wire.KindWelcome)
		other.want(wire.KindWelcome)
		for _, at := range []string{"n2:7443", "n3:7443"} {
			owner.Store(at)
			for range 3 { // it is said once
				w.gate.Guide(context.Background())
			}
			if redirect, err := wire.ParseRedirect(e.want(wire.KindRedirect)); err != nil || redirect.Address != at {
				t.Fatalf("%+v, %v, want %s", redirect, err, at)
			}
		}
		if n := w.counted("atrium_gate_redirects_total"); n != 2 {
			t.Errorf("%v redirects were counted", n)
		}
		for _, still := range []*edge{e, other} { // both are served as before
			ask := wire.AskTime{Question: 7}
			still.say(ask.Append(nil))
			still.want(wire.KindTime)
		}
	})
}

// A gate takes the highest version that both sides speak, whichever of them is
// the newer one.
func TestTheHighestCommonVersionIsChosen(t *testing.T) {
	for _, c := range []struct {
		gateway, gate wire.Versions
		want          uint64 // 0: none
	}{
		{wire.Versions{Min: 1, Max: 1}, wire.Versions{Min: 1, Max: 1}, 1},
		{wire.Versions{Min: 1, Max: 2}, wire.Versions{Min: 1, Max: 1}, 1}, // a newer gateway
		{wire.Versions{Min: 1, Max: 1}, wire.Versions{Min: 1, Max: 2}, 1}, // a newer gate
		{wire.Versions{Min: 1, Max: 2}, wire.Versions{Min: 1, Max: 2}, 2},
		{wire.Versions{Min: 2, Max: 2}, wire.Versions{Min: 1, Max: 1}, 0},
		{wire.Versions{Min: 1, Max: 1}, wire.Versions{Min: 2, Max: 3}, 0},
	} {
		s := newSession(id.Gateway{Site: "hq", Name: "gw"}, func(id.Run) bool { return true }, new(scratches))
		s.versions = c.gate
		hello := wire.Hello{Min: c.gateway.Min, Max: c.gateway.Max, Boots: []id.Boot{{1}}}
		_, err := s.control(hello.Append(nil))
		if c.want == 0 {
			if closed, ok := err.(*closing); !ok || closed.code != wire.CloseVersion {
				t.Errorf("%+v: %v, want the close code version", c, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if _, err := s.control((&wire.Bind{}).Append(nil)); err != nil {
			t.Fatal(err)
		}
		s.durable(1)
		s.durable(2)
		out, _ := s.take(wire.Welcome{}, time.UnixMilli(1))
		msg, err := wire.NewReader(strings.NewReader(string(out)), wire.MaxControl).Next()
		if err != nil {
			t.Fatal(err)
		}
		if w, err := wire.ParseWelcome(msg); err != nil || w.Version != c.want {
			t.Errorf("%+v: welcome chose %d, %v", c, w.Version, err)
		}
	}
}

// A gateway without a time server drifts.
func TestAGatewayIsToldTheTimeWhenItAsks(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		e := w.connect("hq/gw")
		e.want(wire.KindWelcome)
		for question := range uint64(3) {
			ask := wire.AskTime{Question: question}
			e.say(ask.Append(nil))
			m, err := wire.ParseTime(e.want(wire.KindTime))
			if told := time.UnixMilli(int64(m.Now)); err != nil || m.Question != question || time.Since(told).Abs() > time.Second {
				t.Fatalf("told %+v at %v: %v", m, time.Now(), err)
			}
			time.Sleep(10 * time.Second)
		}
	})
}
