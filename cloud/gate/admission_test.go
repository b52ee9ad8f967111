package gate

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

// counted is the sum of a counter's children.
func (w *world) counted(name string) (sum float64) {
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

func TestATokenBucketGivesItsRateAndASecondsWorthAtOnce(t *testing.T) {
	b := bucket{rate: 10}
	now := time.Unix(1, 0)
	took := func(tries int) (n int) {
		for range tries {
			if b.take(now) {
				n++
			}
		}
		return n
	}
	if n := took(100); n != 10 {
		t.Errorf("%d at once, want 10", n)
	}
	now = now.Add(500 * time.Millisecond)
	if n := took(100); n != 5 {
		t.Errorf("%d after half a second, want 5", n)
	}
	now = now.Add(time.Hour)
	if n := took(100); n != 10 {
		t.Errorf("%d after an hour, want 10", n)
	}
}

// I5: gateways that come at once are refused beyond the rate, counted, and let
// in as tokens come.
func TestHandshakesBeyondTheRateAreRefusedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{MaxHandshakes: 20}, fakeCatalog{}, &fakeJournal{}, slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin := func(tries int) (n int) {
			for range tries {
				if _, err := g.watchHandshake(ctx, &quic.ClientInfo{}); err == nil {
					n++
				}
			}
			return n
		}
		if n := begin(50); n != 20 {
			t.Errorf("%d of 50 began at once, want 20", n)
		}
		time.Sleep(time.Second)
		if n := begin(50); n != 20 {
			t.Errorf("%d began a second later, want 20", n)
		}
	})
}

func TestAHandshakeBeyondTheRateEndsTheDial(t *testing.T) {
	inWorld(t, func(c *Config) { c.MaxHandshakes = 1 }, func(w *world) {
		w.open("hq/gw")
		begin := time.Now()
		if _, err := w.dial(w.clientTLS(w.ca, "hq/gw-2")); err == nil {
			t.Error("a second handshake began at once")
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the refusal took %v: it is meant to be a packet", took)
		}
		if n := w.counted("atrium_gate_handshakes_turned_away_total"); n == 0 {
			t.Error("the refusal was not counted")
		}
		time.Sleep(time.Second)
		w.open("hq/gw-2")
	})
}
