package cborcodec_test

import (
	"context"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/cborcodec"
)

// SetPoint tells a room which temperature it should have, or asks.
type SetPoint struct {
	Celsius float64
	Asked   *Question
}

// Question is part of a message that asks.
type Question struct{ Reply actor.Reply[float64] }

// Room keeps its set point.
type Room struct{ celsius float64 }

// Receive implements actor.ReceiverOf.
func (r *Room) Receive(ctx *actor.ContextOf[SetPoint]) {
	if m := ctx.Message(); m.Asked != nil {
		m.Asked.Reply.Send(r.celsius)
	} else {
		r.celsius = m.Celsius
	}
}

// process is a transport for the nodes of one process.
type process map[string]*actor.Engine

// Locate implements actor.Transport.
func (p process) Locate(context.Context, string, bool) (string, error) { return "node-b:7000", nil }

// Exchange implements actor.Transport.
func (p process) Exchange(ctx context.Context, address string, request []byte) ([]byte, error) {
	node, ok := p[address]
	if !ok {
		return nil, actor.ErrStale
	}
	return node.Receive(ctx, request), nil
}

func Example() {
	answer, err := cborcodec.Answer("celsius", func(m *SetPoint) *actor.Reply[float64] {
		if m.Asked == nil {
			return nil
		}
		return &m.Asked.Reply
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	codec, err := cborcodec.Of("room.SetPoint/1", answer)
	if err != nil {
		fmt.Println(err)
		return
	}

	nodes := process{}
	a := actor.NewActorSystem(actor.Config{Address: "node-a", Port: 7000}, nil, actor.WithTransport(nodes))
	b := actor.NewActorSystem(actor.Config{Address: "node-b", Port: 7000}, nil, actor.WithTransport(nodes))
	nodes["node-a:7000"], nodes["node-b:7000"] = a.Engine(), b.Engine()

	props := actor.PropsOf(func() actor.ReceiverOf[SetPoint] { return &Room{} }).WithCodec(codec)
	if _, err := actor.Spawn(b.Engine(), props, "hq/lobby"); err != nil {
		fmt.Println(err)
		return
	}

	lobby, err := actor.RefAt(a.Engine(), actor.PID{ID: "hq/lobby"}, codec)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lobby.Tell(SetPoint{Celsius: 21.5}))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	celsius, err := actor.Ask(ctx, lobby, func(r actor.Reply[float64]) SetPoint {
		return SetPoint{Asked: &Question{r}}
	})
	fmt.Println(lobby.PID(), celsius, err)
	fmt.Println(a.Stop(ctx), b.Stop(ctx))
	// Output:
	// <nil>
	// node-b:7000/hq/lobby 21.5 <nil>
	// <nil> <nil>
}
