package actor_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
)

// Meter counts pulses. Its count outlives its time in memory.
type Meter struct{ pulses int }

// Pulses are what a meter counts; with a Reply they are a question too.
type Pulses struct {
	N     int
	Reply actor.Reply[int]
}

// Receive implements actor.ReceiverOf.
func (m *Meter) Receive(ctx *actor.ContextOf[Pulses]) {
	p := ctx.Message()
	m.pulses += p.N
	p.Reply.Send(m.pulses)
}

// Snapshot implements actor.Snapshotter.
func (m *Meter) Snapshot() ([]byte, error) { return strconv.AppendInt(nil, int64(m.pulses), 10), nil }

// Restore implements actor.Snapshotter.
func (m *Meter) Restore(state []byte) (err error) {
	m.pulses, err = strconv.Atoi(string(state))
	return err
}

func ExampleRegister() {
	system := actor.NewActorSystem(actor.Config{}, nil)
	meters, err := actor.Register(system.Engine(), "meter",
		actor.PropsOf(func() actor.ReceiverOf[Pulses] { return new(Meter) }).
			WithPassivation(actor.Passivation{
				Idle:  10 * time.Minute, // leaves memory after that,
				Limit: 1,                // and when another one came
				Store: snapshot.NewMemory(1 << 20),
			}))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, name := range []string{"hq/gas", "hq/water", "hq/gas"} { // each time the other one leaves
		meter, err := meters.Ref(name) // it exists, in memory or not
		if err != nil {
			fmt.Println(err)
			return
		}
		pulses, err := actor.Ask(ctx, meter, func(r actor.Reply[int]) Pulses { return Pulses{7, r} })
		fmt.Println(meter.PID().ID, pulses, err)
	}
	fmt.Println(system.Stop(ctx)) // saves those that are in memory
	// Output:
	// meter/hq/gas 7 <nil>
	// meter/hq/water 7 <nil>
	// meter/hq/gas 14 <nil>
	// <nil>
}

// Door is open or locked. While it is locked, who wants to pass waits.
type Door struct{}

// Receive implements actor.ReceiverOf: the behaviour of an open door.
func (Door) Receive(ctx *actor.ContextOf[string]) {
	switch m := ctx.Message(); m {
	case "lock":
		ctx.Become(locked)
	case "unlock":
	default:
		fmt.Println(m, "passes")
	}
}

// locked is the behaviour of a locked door.
func locked(ctx *actor.ContextOf[string]) {
	switch m := ctx.Message(); m {
	case "lock":
	case "unlock":
		ctx.Unbecome()
		ctx.Unstash() // in the order of their arrival, before all others
	default:
		fmt.Println(m, "waits")
		if err := ctx.Stash(); err != nil {
			fmt.Println(err)
		}
	}
}

func ExampleContextOf_Become() {
	system := actor.NewActorSystem(actor.Config{}, nil)
	door, err := actor.Spawn(system.Engine(), actor.PropsOf(func() actor.ReceiverOf[string] { return Door{} }), "hq/door")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := door.TellBatch([]string{"ann", "lock", "bob", "cem", "unlock", "dan"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(system.Stop(context.Background())) // what was accepted is handled
	// Output:
	// ann passes
	// bob waits
	// cem waits
	// bob passes
	// cem passes
	// dan passes
	// <nil>
}

func ExampleWatch() {
	system := actor.NewActorSystem(actor.Config{}, nil)
	engine := system.Engine()
	pump, err := actor.Spawn(engine, actor.PropsOf(func() actor.ReceiverOf[string] { return Door{} }), "hq/pump")
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := actor.Spawn(engine, actor.PropsOf(func() actor.ReceiverOf[actor.Terminated] { return &Guard{pump: pump} }), "hq/guard")
	if err != nil {
		fmt.Println(err)
		return
	}
	<-guard.Stopped()
	fmt.Println(pump.Tell("on"))
	fmt.Println(system.Stop(context.Background()))
	// Output:
	// hq/pump ended: <nil>
	// actor: stopped
	// <nil>
}

// Guard stops a pump and waits for its end.
type Guard struct{ pump actor.Ref[string] }

// Started implements actor.Starter.
func (g *Guard) Started(ctx *actor.ContextOf[actor.Terminated]) {
	err := actor.Watch(ctx, g.pump, func(t actor.Terminated) actor.Terminated { return t })
	if err == nil {
		err = g.pump.Stop()
	}
	if err != nil {
		ctx.Fail(err)
	}
}

// Receive implements actor.ReceiverOf.
func (g *Guard) Receive(ctx *actor.ContextOf[actor.Terminated]) {
	if t := ctx.Message(); t.PID == g.pump.PID() {
		fmt.Printf("%s ended: %v\n", t.PID.ID, t.Reason)
		ctx.Stop()
	}
}
