// Package mission runs what the project's mission names, in memory: a device's
// state is updated, a device obeys a command, a room hears a broadcast, a twin
// follows its device, a pipeline works on readings. It uses the public
// interface of shared/actor.
//
// Each program gives four figures. Throughput is reached when two senders send
// as fast as they can. Latency is taken at a hundred times the mission's
// throughput, which is the aim, in bursts of a millisecond: from the beginning
// of a message's burst until the last actor has handled it. A command's is
// what 64 askers see that ask without a pause. Bytes are heap and stacks in
// use, for an actor, after the messages of the throughput.
//
// The actors keep a small state of their own. The twins, rooms and pipelines
// of the product, with journal and disk, are what tests/bench/line measures.
package mission

import (
	"context"
	"runtime"
	"strconv"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// Rates at which latency is taken, messages a second: a hundred times the
// mission's.
const (
	UpdateRate    = 1_000_000
	BroadcastRate = 200_000
	TwinRate      = 800_000
	PipelineRate  = 300_000
)

// What the sites are made of. A room has the devices of a large office.
const (
	devices   = 10_000
	rooms     = 500
	members   = 20
	pipelines = 1_000
)

// Programs are the mission's rows.
func Programs() map[string]load.Program {
	return map[string]load.Program{
		"atrium/mission-update":   courses(UpdateRate, updates),
		"atrium/mission-command":  commands,
		"atrium/mission-room":     courses(BroadcastRate, broadcasts),
		"atrium/mission-twin":     courses(TwinRate, twins),
		"atrium/mission-pipeline": courses(PipelineRate, processing),
	}
}

// site is a system with the actors of one program.
type site struct {
	system  *actor.ActorSystem
	spawned int
}

// The mailboxes hold whatever senders are ahead of the actors: throughput is
// what the runtime moves, not how a sender waits.
const (
	dispatcher = "site"
	mailbox    = 1 << 30
)

func newSite() *site {
	s := &site{system: actor.NewActorSystem(actor.Config{Address: "127.0.0.1", Port: 1, ClusterName: "bench"}, nil)}
	must(s.system.RegisterDispatcher(dispatcher, actor.DispatcherConfig{
		Throughput: 100, MailboxSize: mailbox, MaxConcurrency: runtime.GOMAXPROCS(0),
	}))
	return s
}

func (s *site) close() { must(s.system.Stop(context.Background())) }

func spawn[M any](s *site, r actor.ReceiverOf[M]) actor.Ref[M] {
	s.spawned++
	props := actor.PropsOf(func() actor.ReceiverOf[M] { return r }).WithDispatcher(dispatcher)
	ref, err := actor.Spawn(s.system.Engine(), props, strconv.Itoa(s.spawned))
	must(err)
	return ref
}

// must ends a program that the runtime refuses: its figures would be wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
