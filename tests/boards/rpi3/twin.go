package main

import (
	"context"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/boards/stand"
)

// twin is the sensor's twin as the cloud's API shows it.
type twin struct {
	api    *client.Client
	device id.Device
	last   client.Point // what it showed when it was last asked
}

func newTwin(api string) (*twin, error) {
	c, err := client.New(api)
	if err != nil {
		return nil, err
	}
	d, err := id.ParseDevice(device)
	return &twin{api: c, device: d}, err
}

// await waits until the twin shows exactly a temperature, in degC, of good
// quality. It gives up early if the board ends.
func (t *twin) await(ctx context.Context, ended <-chan struct{}, limit time.Duration, celsius float64) error {
	return stand.Await(ctx, ended, limit, fmt.Sprintf("the twin showed %g degC", celsius), func(ctx context.Context) (bool, error) {
		found, err := t.look(ctx)
		return found && *t.last.Value == celsius, err
	}, t.show)
}

// look asks for the twin; found is false before it has a temperature.
func (t *twin) look(ctx context.Context) (found bool, err error) {
	d, err := t.api.Device(ctx, t.device)
	if client.NotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, p := range d.Points {
		if p.Point == "temperature" && p.Value != nil && p.Quality == "good" {
			t.last = p
			return true, nil
		}
	}
	return false, nil
}

// show is the last value in words.
func (t *twin) show() string {
	if t.last.Value == nil {
		return "nothing yet"
	}
	return fmt.Sprintf("%g %s", *t.last.Value, t.last.Unit)
}
