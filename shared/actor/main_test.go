package actor_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/shared/actor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// funcOf is a receiver made of functions.
type funcOf[M any] struct {
	receive func(*actor.ContextOf[M])
	started func(*actor.ContextOf[M])
	stopped func(*actor.ContextOf[M], error)
}

func (f *funcOf[M]) Receive(ctx *actor.ContextOf[M]) { f.receive(ctx) }

func (f *funcOf[M]) Started(ctx *actor.ContextOf[M]) {
	if f.started != nil {
		f.started(ctx)
	}
}

func (f *funcOf[M]) Stopped(ctx *actor.ContextOf[M], reason error) {
	if f.stopped != nil {
		f.stopped(ctx, reason)
	}
}

func props[M any](f funcOf[M]) *actor.PropsTyped[M] {
	return actor.PropsOf(func() actor.ReceiverOf[M] { return &f })
}

func on[M any](receive func(*actor.ContextOf[M])) *actor.PropsTyped[M] {
	return props(funcOf[M]{receive: receive})
}

// tb is what *testing.T, *testing.B and *rapid.T share.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Cleanup(f func())
}

var node = actor.Config{Address: "node", Port: 1, ClusterName: "test"}

// newSystem stops the system at the end of the test, and checks that it can.
func newSystem(t tb, opts ...actor.Option) (*actor.ActorSystem, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	opts = append([]actor.Option{actor.WithMetrics(reg)}, opts...)
	s := actor.NewActorSystem(node, slog.New(slog.DiscardHandler), opts...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s, reg
}

func spawn[M any](t tb, s *actor.ActorSystem, p *actor.PropsTyped[M], id string) actor.Ref[M] {
	t.Helper()
	ref, err := actor.Spawn(s.Engine(), p, id)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// sum adds up a metric over all label values that contain the pairs of with.
func sum(t tb, reg *prometheus.Registry, name string, with ...string) int {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(with); i += 2 {
				if have[with[i]] != with[i+1] {
					continue metrics
				}
			}
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return int(total)
}

func handled(t tb, reg *prometheus.Registry) int {
	return sum(t, reg, "atrium_actor_messages_total")
}

func deadLetters(t tb, reg *prometheus.Registry, reason string) int {
	return sum(t, reg, "atrium_actor_dead_letters_total", "reason", reason)
}

func refusals(t tb, reg *prometheus.Registry, reason string) int {
	return sum(t, reg, "atrium_actor_refusals_total", "reason", reason)
}
