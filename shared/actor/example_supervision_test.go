package actor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// Poller reads one register of a device, which may be gone.
type Poller struct{ reads int }

// Read asks a poller for a value of the bus.
type Read struct {
	Gone  bool
	Reply actor.Reply[int]
}

// Started implements actor.Starter.
func (p *Poller) Started(ctx *actor.ContextOf[Read]) { fmt.Println(ctx.PID().ID, "opens the bus") }

// Receive implements actor.ReceiverOf.
func (p *Poller) Receive(ctx *actor.ContextOf[Read]) {
	m := ctx.Message()
	if m.Gone {
		ctx.Fail(errors.New("device gone"))
		return
	}
	p.reads++
	m.Reply.Send(p.reads)
}

// Restarting implements actor.Restarter.
func (p *Poller) Restarting(ctx *actor.ContextOf[Read], reason error) {
	fmt.Printf("%s closes the bus after %d reads: %v\n", ctx.PID().ID, p.reads, reason)
}

// Gateway has a poller as its child.
type Gateway struct{ poller actor.Ref[Read] }

// Started implements actor.Starter.
func (g *Gateway) Started(ctx *actor.Context) {
	pollers := actor.PropsOf(func() actor.ReceiverOf[Read] { return &Poller{} })
	g.poller, _ = actor.SpawnChild(ctx, pollers, "poller") // fails only while ctx's actor stops
}

// Receive implements actor.Receiver: it hands each Read on.
func (g *Gateway) Receive(ctx *actor.Context) {
	if m, ok := ctx.Message().(Read); ok {
		_ = actor.Send(ctx, g.poller, m) // an asker learns it by its context
	}
}

func ExampleSpawnChild() {
	system := actor.NewActorSystem(actor.Config{Address: "192.168.1.1"}, nil)
	gateways := actor.PropsFromProducer(func() actor.Receiver { return &Gateway{} }).
		WithSupervisor(supervise.Strategy{
			OnFailure:   supervise.Restart,
			MaxRestarts: 5, Within: time.Minute,
			Backoff: supervise.Backoff{Min: 10 * time.Millisecond, Max: time.Second},
		})
	gateway, err := system.Engine().Spawn(gateways, "hq/gw1")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	read := func(r actor.Reply[int]) any { return Read{Reply: r} }
	fmt.Println(actor.Ask(ctx, gateway, read))
	if err := gateway.Tell(Read{Gone: true}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(actor.Ask(ctx, gateway, read)) // waits for the restart
	fmt.Println(system.Stop(ctx))
	// Output:
	// hq/gw1/poller opens the bus
	// 1 <nil>
	// hq/gw1/poller closes the bus after 1 reads: device gone
	// hq/gw1/poller opens the bus
	// 1 <nil>
	// <nil>
}
