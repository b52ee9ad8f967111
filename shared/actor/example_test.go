package actor_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
)

// DeviceActor keeps the last value of one device.
type DeviceActor struct {
	id     string
	logger *slog.Logger
	value  float64
}

// NewDeviceActor makes the actor of one device.
func NewDeviceActor(id string, logger *slog.Logger) *DeviceActor {
	return &DeviceActor{id: id, logger: logger}
}

// Telemetry is one value that a device measured.
type Telemetry struct{ Value float64 }

// Query asks a device for its last value.
type Query struct{ Reply actor.Reply[float64] }

// Receive implements actor.Receiver.
func (d *DeviceActor) Receive(ctx *actor.Context) {
	switch m := ctx.Message().(type) {
	case Telemetry:
		d.value = m.Value
	case Query:
		d.logger.Info("queried", "device", d.id)
		m.Reply.Send(d.value)
	}
}

func Example() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	config := actor.Config{Address: "192.168.1.1", Port: 8000, ClusterName: "iot-cluster"}
	actorSystem := actor.NewActorSystem(config, logger)

	for name, dispatcher := range map[string]actor.DispatcherConfig{
		"device-dispatcher": {Throughput: 100, MailboxSize: 1000, MaxConcurrency: 4},
		"room-dispatcher":   {Throughput: 50, MailboxSize: 500, MaxConcurrency: 2},
	} {
		if err := actorSystem.RegisterDispatcher(name, dispatcher); err != nil {
			fmt.Println(err)
			return
		}
	}

	deviceID := "hq/t1"
	props := actor.PropsFromProducer(func() actor.Receiver {
		return NewDeviceActor(deviceID, logger)
	}).WithDispatcher("device-dispatcher")
	device, err := actorSystem.Engine().Spawn(props, deviceID)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := device.Tell(Telemetry{Value: 21.5}); err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	value, err := actor.Ask(ctx, device, func(r actor.Reply[float64]) any { return Query{r} })
	fmt.Println(device.PID(), value, err)
	fmt.Println(actorSystem.Stop(ctx))
	// Output:
	// 192.168.1.1:8000/hq/t1 21.5 <nil>
	// <nil>
}
