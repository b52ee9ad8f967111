package router_test

import (
	"context"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/router"
)

// Convert asks for a temperature in degrees Fahrenheit.
type Convert struct {
	Celsius float64
	Reply   actor.Reply[float64]
}

// Converter has no state, so any of them will do.
type Converter struct{}

// Receive implements actor.ReceiverOf.
func (Converter) Receive(ctx *actor.ContextOf[Convert]) {
	m := ctx.Message()
	m.Reply.Send(m.Celsius*9/5 + 32)
}

func ExampleNewPool() {
	system := actor.NewActorSystem(actor.Config{Address: "192.168.1.1", Port: 8000}, nil)
	props := actor.PropsOf(func() actor.ReceiverOf[Convert] { return Converter{} })
	pool, err := router.NewPool(system.Engine(), props, "convert", 4, router.RoundRobin[Convert])
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, celsius := range []float64{0, 21.5, 100} {
		fahrenheit, err := router.Ask(ctx, pool.Router(), func(r actor.Reply[float64]) Convert { return Convert{celsius, r} })
		fmt.Println(celsius, fahrenheit, err)
	}
	fmt.Println(pool.Resize(2), len(pool.Router().Routees()))
	fmt.Println(pool.Stop(ctx), system.Stop(ctx))
	// Output:
	// 0 32 <nil>
	// 21.5 70.7 <nil>
	// 100 212 <nil>
	// <nil> 2
	// <nil> <nil>
}

// Reading is a value of a device.
type Reading struct {
	Device string
	Value  float64
}

// Smoother prints the mean of each device's values: it must see all of them,
// in order.
type Smoother struct {
	sum map[string]float64
	n   map[string]float64
}

// Receive implements actor.ReceiverOf.
func (s *Smoother) Receive(ctx *actor.ContextOf[Reading]) {
	m := ctx.Message()
	s.sum[m.Device] += m.Value
	s.n[m.Device]++
	fmt.Println(m.Device, s.sum[m.Device]/s.n[m.Device])
}

func ExampleConsistentHash() {
	system := actor.NewActorSystem(actor.Config{Address: "192.168.1.1", Port: 8000}, nil)
	props := actor.PropsOf(func() actor.ReceiverOf[Reading] {
		return &Smoother{sum: map[string]float64{}, n: map[string]float64{}}
	})
	byDevice := func(refs ...actor.Ref[Reading]) *router.Router[Reading] {
		return router.ConsistentHash(func(m Reading) string { return m.Device }, refs...)
	}
	pool, err := router.NewPool(system.Engine(), props, "smooth", 3, byDevice)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range []Reading{{"hq/t1", 20}, {"hq/t2", 18}, {"hq/t1", 22}, {"hq/t2", 19}} {
		if err := pool.Router().TellWait(ctx, m); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(pool.Stop(ctx), system.Stop(ctx))
	// Unordered output:
	// hq/t1 20
	// hq/t2 18
	// hq/t1 21
	// hq/t2 18.5
	// <nil> <nil>
}

func ExampleBroadcast() {
	system := actor.NewActorSystem(actor.Config{Address: "192.168.1.1", Port: 8000}, nil)
	all := router.Broadcast[string]()
	for _, name := range []string{"kitchen", "hall"} {
		props := actor.PropsOf(func() actor.ReceiverOf[string] { return display(name) })
		ref, err := actor.Spawn(system.Engine(), props, "hq/"+name)
		if err != nil {
			fmt.Println(err)
			return
		}
		all.Add(ref)
	}
	fmt.Println(all.Tell("doors close at six"))
	fmt.Println(system.Stop(context.Background()))
	// Unordered output:
	// <nil>
	// kitchen: doors close at six
	// hall: doors close at six
	// <nil>
}

type display string

func (d display) Receive(ctx *actor.ContextOf[string]) { fmt.Printf("%s: %s\n", d, ctx.Message()) }
