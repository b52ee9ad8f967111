package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

const pollEvery = 100 * time.Millisecond

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
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var failed error
	for {
		found, err := t.look(ctx)
		if found && *t.last.Value == celsius {
			return nil
		}
		if ctx.Err() == nil {
			failed = err // not that the time is over, which is said anyway
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("the board ended before the twin showed %g degC: it shows %s", celsius, t.show())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the twin did not show %g degC within %s: it shows %s", celsius, limit, t.show()), failed)
		}
	}
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
