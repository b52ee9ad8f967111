package actortest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
)

// maxSteps bounds one Run: actors that keep each other busy for longer have no
// end.
const maxSteps = 100_000

// stopWithin bounds the system's Stop at the end of a test, in real time as in
// a bubble's.
const stopWithin = time.Minute

// System is an actor system within a test.
type System struct {
	*actor.ActorSystem
	t       testing.TB
	stepper *actor.Stepper // nil in InBubble
	probes  int
}

// NewSystem makes a system whose actors run when the test says so, in an order
// that the seed decides. It is stopped at the end of the test, which fails when
// an actor does not end. One goroutine uses it: the test's.
func NewSystem(t testing.TB, seed uint64, opts ...actor.Option) *System {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	stepper := actor.NewStepper(random.IntN)
	opts = append(opts[:len(opts):len(opts)], actor.WithStepper(stepper))
	s := &System{
		ActorSystem: actor.NewActorSystem(actor.Config{Address: "test", ClusterName: "test"}, nil, opts...),
		t:           t,
		stepper:     stepper,
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("actortest: seed %d", seed)
		}
	})
	s.stopAtEnd()
	return s
}

// InBubble wraps an ordinary system for a test that runs in a synctest bubble.
// The system is stopped at the end of the test.
func InBubble(t testing.TB, system *actor.ActorSystem) *System {
	s := &System{ActorSystem: system, t: t}
	s.stopAtEnd()
	return s
}

// Seeds runs a test with each of n seeds, 0 first.
func Seeds(t *testing.T, n int, f func(t *testing.T, seed uint64)) {
	for seed := range uint64(n) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { f(t, seed) })
	}
}

func (s *System) stopAtEnd() {
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			s.t.Errorf("actortest: %v", err)
		}
	})
}

// Step lets one actor, drawn from those that have work, handle one message, or
// begin or end. It is false when none has. In a bubble there are no steps: all
// run, and it is false.
func (s *System) Step() bool {
	if s.stepper == nil {
		synctest.Wait()
		return false
	}
	return s.stepper.Step()
}

// Run lets the actors handle what there is, until all are quiet, and returns
// the number of steps. Actors that never are fail the test after 100,000.
func (s *System) Run() (steps int) {
	s.t.Helper()
	for s.Step() {
		if steps++; steps > maxSteps {
			s.t.Fatalf("actortest: the actors are not quiet after %d steps", maxSteps)
		}
	}
	return steps
}

// Pass lets d pass in a bubble, and the actors run meanwhile: at each moment
// that a timer fires, until all are quiet.
func (s *System) Pass(d time.Duration) {
	s.t.Helper()
	s.Run()
	if s.stepper == nil {
		time.Sleep(d)
		synctest.Wait()
		return
	}
	over := time.NewTimer(d)
	defer over.Stop()
	for passed := false; !passed; {
		select {
		case <-s.stepper.Pushed():
		case <-over.C:
			passed = true
		}
		synctest.Wait() // all that fires at this moment has
		s.Run()
	}
}

// Spawn makes an actor, and fails the test when it cannot.
func Spawn[M any](s *System, props *actor.PropsTyped[M], id string) actor.Ref[M] {
	s.t.Helper()
	ref, err := actor.Spawn(s.Engine(), props, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

// Tell tells messages in their order, and fails the test when one is refused.
// The actor handles them when the test lets it run.
func Tell[M any](s *System, to actor.Ref[M], msgs ...M) {
	s.t.Helper()
	for _, msg := range msgs {
		if err := to.Tell(msg); err != nil {
			s.t.Fatalf("tell %s: %v", to, err)
		}
	}
}

// Ask asks, lets the actors run until the answer is there, and fails the test
// when none comes.
func Ask[R, M any](s *System, to actor.Ref[M], build func(actor.Reply[R]) M) R {
	s.t.Helper()
	answer, err := actor.Ask(s.t.Context(), to, build)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// ExpectStopped fails the test unless the actor has ended once all are quiet,
// and returns why it has: nil after Stop.
func ExpectStopped[M any](s *System, ref actor.Ref[M]) error {
	s.t.Helper()
	s.Run()
	select {
	case <-ref.Stopped():
	default:
		s.t.Fatalf("%s has not stopped", ref)
	}
	p := newProbe(s, s.name("watch"), func(ctx *actor.ContextOf[actor.Terminated]) error {
		return actor.Watch(ctx, ref, func(n actor.Terminated) actor.Terminated { return n })
	})
	return p.Next().Reason
}

// name makes an ID for an actor of this package.
func (s *System) name(what string) string {
	s.probes++
	return fmt.Sprintf("actortest/%s/%d", what, s.probes)
}
