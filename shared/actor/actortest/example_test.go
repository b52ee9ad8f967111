package actortest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/actortest"
)

// thermostat switches a heater by the temperatures that it is told, and off
// when none came for a minute.
type thermostat struct {
	heater  actor.Ref[bool]
	silence actor.Timer
}

type (
	temperature float64
	silent      struct{}
	target      struct{ reply actor.Reply[float64] }
)

const wanted = 21

func (th *thermostat) Receive(ctx *actor.Context) {
	switch m := ctx.Message().(type) {
	case temperature:
		th.silence.Stop()
		th.silence = ctx.After(time.Minute, silent{})
		_ = actor.Send(ctx, th.heater, m < wanted)
	case silent:
		_ = actor.Send(ctx, th.heater, false)
	case target:
		m.reply.Send(wanted)
	}
}

func spawnThermostat(s *actortest.System, heater actor.Ref[bool]) actor.Ref[any] {
	return actortest.Spawn(s, actor.PropsFromProducer(func() actor.Receiver { return &thermostat{heater: heater} }), "thermostat")
}

// A probe stands for what an actor talks to.
func TestExampleProbe(t *testing.T) {
	s := actortest.NewSystem(t, 1)
	heater := actortest.NewProbe[bool](s, "heater")
	thermostat := spawnThermostat(s, heater.Ref())

	actortest.Tell[any](s, thermostat, temperature(18), temperature(22))
	heater.Expect(true, false)
	heater.ExpectNone()
	if got := actortest.Ask(s, thermostat, func(r actor.Reply[float64]) any { return target{r} }); got != wanted {
		t.Errorf("target %v", got)
	}
}

// In a bubble an hour costs nothing.
func TestExamplePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := actortest.NewSystem(t, 1)
		heater := actortest.NewProbe[bool](s, "heater")
		actortest.Tell[any](s, spawnThermostat(s, heater.Ref()), temperature(18))
		heater.Expect(true)
		s.Pass(59 * time.Second)
		heater.ExpectNone()
		s.Pass(time.Hour)
		heater.Expect(false)
	})
}

// Every seed is another interleaving of two thermostats that share a heater.
func TestExampleSeeds(t *testing.T) {
	actortest.Seeds(t, 20, func(t *testing.T, seed uint64) {
		s := actortest.NewSystem(t, seed)
		heater := actortest.NewProbe[bool](s, "heater")
		thermostat := spawnThermostat(s, heater.Ref())
		other := actortest.Spawn(s, actor.PropsOf(func() actor.ReceiverOf[temperature] { return relay{thermostat} }), "relay")
		actortest.Tell(s, other, 18, 22)
		actortest.Tell[any](s, thermostat, temperature(22))
		got := heater.Received()
		if len(got) != 3 || got[2] && got[1] && got[0] {
			t.Errorf("the heater got %v", got)
		}
	})
}

// relay tells what it is told.
type relay struct{ to actor.Ref[any] }

func (r relay) Receive(ctx *actor.ContextOf[temperature]) {
	_ = actor.Send(ctx, r.to, any(ctx.Message()))
}
