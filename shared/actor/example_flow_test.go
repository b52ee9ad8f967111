package actor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
)

// Valve begins with its first message and then waits to be opened.
type Valve struct{ begun, opened chan struct{} }

// Receive implements actor.ReceiverOf.
func (v *Valve) Receive(ctx *actor.ContextOf[int]) {
	if ctx.Message() == 1 {
		close(v.begun)
		<-v.opened
	}
	fmt.Println(ctx.Message())
}

func ExampleRef_On() {
	system := actor.NewActorSystem(actor.Config{}, nil)
	begun, opened := make(chan struct{}), make(chan struct{})
	valves := actor.PropsOf(func() actor.ReceiverOf[int] { return &Valve{begun, opened} }).
		WithMailbox(actor.Mailbox{Size: 3, Overflow: actor.Refuse}) // or Block, DropOldest, DropNewest
	valve, err := actor.Spawn(system.Engine(), valves, "hq/valve")
	if err != nil {
		fmt.Println(err)
		return
	}
	if n, err := valve.TellBatch([]int{1, 2, 3, 4}); errors.Is(err, actor.ErrMailboxFull) {
		fmt.Println(n, "accepted")
	}
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err = valve.TellWait(ctx, 5) // waits for room
	fmt.Println(errors.Is(err, actor.ErrMailboxFull), errors.Is(err, context.DeadlineExceeded))
	if err := valve.On(actor.Control).Tell(0); err != nil { // has room of its own, and comes before them
		fmt.Println(err)
	}
	close(opened)
	fmt.Println(system.Stop(context.Background()))
	// Output:
	// 3 accepted
	// true true
	// 1
	// 0
	// 2
	// 3
	// <nil>
}

// Probe looks at a slow device now and then.
type Probe struct{ looks int }

// Started implements actor.Starter.
func (p *Probe) Started(ctx *actor.ContextOf[string]) { ctx.Every(time.Millisecond, "look") }

// Receive implements actor.ReceiverOf.
func (p *Probe) Receive(ctx *actor.ContextOf[string]) {
	switch m := ctx.Message(); m {
	case "look":
		if p.looks++; p.looks == 3 {
			err := ctx.PipeTo(func(context.Context) string { return "measured" }) // in a goroutine of its own
			if err != nil {
				ctx.Fail(err)
			}
		}
	default:
		fmt.Println(m)
		ctx.Stop()
	}
}

func ExampleContextOf_PipeTo() {
	system := actor.NewActorSystem(actor.Config{}, nil)
	probe, err := actor.Spawn(system.Engine(), actor.PropsOf(func() actor.ReceiverOf[string] { return new(Probe) }), "hq/probe")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := probe.Tell("look"); err != nil {
		fmt.Println(err)
	}
	<-probe.Stopped()
	fmt.Println(system.Stop(context.Background()))
	// Output:
	// measured
	// <nil>
}

func ExampleSubscribe() {
	system := actor.NewActorSystem(actor.Config{}, nil)
	engine := system.Engine()
	wrote := make(chan struct{})
	clerk, err := actor.Spawn(engine, actor.PropsOf(func() actor.ReceiverOf[string] { return Clerk{wrote} }), "clerk")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = actor.Subscribe(system.Events(), clerk, func(d actor.DeadLetter) (string, bool) {
		return fmt.Sprintf("%s lost %v: %s", d.PID.ID, d.Message, d.Reason), true
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	door, err := actor.Spawn(engine, actor.PropsOf(func() actor.ReceiverOf[string] { return Door{} }), "hq/door")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := door.TellBatch([]string{"lock", "eve"}); err != nil {
		fmt.Println(err)
	}
	if err := door.Stop(); err != nil { // eve waits before a locked door
		fmt.Println(err)
	}
	<-wrote
	fmt.Println(system.Stop(context.Background()))
	// Output:
	// eve waits
	// hq/door lost eve: stopped
	// <nil>
}

// Clerk writes down what it hears.
type Clerk struct{ wrote chan struct{} }

// Receive implements actor.ReceiverOf.
func (c Clerk) Receive(ctx *actor.ContextOf[string]) {
	fmt.Println(ctx.Message())
	close(c.wrote)
}

// Lamp is a member of a group.
type Lamp struct{ name string }

// Receive implements actor.ReceiverOf.
func (l *Lamp) Receive(ctx *actor.ContextOf[bool]) { fmt.Println(l.name, ctx.Message()) }

// Switch switches all lamps of its group.
type Switch struct{ lamps []actor.Ref[bool] }

// Receive implements actor.ReceiverOf.
func (s *Switch) Receive(ctx *actor.ContextOf[bool]) {
	for _, l := range s.lamps {
		if err := actor.Send(ctx, l, ctx.Message()); err != nil {
			ctx.Fail(err)
		}
	}
}

func ExampleTurn() {
	system := actor.NewActorSystem(actor.Config{}, nil)
	group, err := system.NewGroup("hq", actor.GroupConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := new(Switch)
	for _, name := range []string{"hall", "stairs"} {
		lamp, err := actor.SpawnIn(group, actor.PropsOf(func() actor.ReceiverOf[bool] { return &Lamp{name} }), "hq/"+name)
		if err != nil {
			fmt.Println(err)
			return
		}
		s.lamps = append(s.lamps, lamp)
	}
	ref, err := actor.SpawnIn(group, actor.PropsOf(func() actor.ReceiverOf[bool] { return s }), "hq/switch")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(actor.Turn(group, ref, true)) // the whole turn, in this goroutine
	fmt.Println(group.Stop())
	fmt.Println(system.Stop(context.Background()))
	// Output:
	// hall true
	// stairs true
	// <nil>
	// <nil>
	// <nil>
}
