package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// Action is what a person does to the demonstration.
type Action uint8

// The actions. All but KillCloud concern one site.
const (
	SwitchLink Action = iota + 1 // cut it, or heal it
	KillGateway
	KillCloud
	SwitchSensor // unplug it, or plug it in
	SwitchHeater // by a command through the cloud
)

// acceptTimeout is how long the node may take to make a command durable: it may
// just be coming back from a kill. The answer comes later, by the live stream.
const acceptTimeout = 35 * time.Second

// Do performs an action on the i-th site, in the direction that the picture
// suggests, and returns what was done, in words.
func (f *Feed) Do(ctx context.Context, a Action, i int) (string, error) {
	d := f.demo
	f.mu.Lock()
	site := &f.picture.Sites[i]
	cut, broken, on, name, sensor := site.Cut, site.Broken, site.heaterOn(), site.Name, site.Plant.Sensor.Device
	f.mu.Unlock()
	switch {
	case a == SwitchLink && cut:
		return "healed the link of " + name + ": watch the backlog drain", d.HealLink(i)
	case a == SwitchLink:
		return "cut the link of " + name + ": its buffer grows, nothing is lost", d.CutLink(i)
	case a == KillGateway && !d.sites[i].gateway.runs():
		return "the gateway of " + name + " is down already: it comes back by itself", nil
	case a == KillGateway:
		return "killed the gateway of " + name + " (kill -9): it comes back in " + seconds(restartAfter), d.KillGateway(i)
	case a == KillCloud && !d.cloud.runs():
		return "the cloud node is down already: it comes back by itself", nil
	case a == KillCloud:
		return "killed the cloud node (kill -9): it comes back in " + seconds(restartAfter), d.KillCloud()
	case a == SwitchSensor && broken:
		err := d.RepairSensor(i)
		f.setBroken(i, err != nil)
		return "plugged " + sensor + " in again", err
	case a == SwitchSensor:
		err := d.BreakSensor(i)
		f.setBroken(i, err == nil)
		return "unplugged " + sensor + ": its readings turn bad", err
	case a == SwitchHeater:
		return f.switchHeater(ctx, i, !on)
	}
	return "", fmt.Errorf("demo: there is no action %d", a)
}

func (f *Feed) switchHeater(ctx context.Context, i int, on bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	c, err := f.demo.SwitchHeater(ctx, i, on)
	if err != nil {
		return "", err
	}
	state := map[bool]string{true: "on", false: "off"}[on]
	return "sent " + c.Device + " " + c.Command + " " + state + ": the answer comes by the same way", nil
}

func (f *Feed) setBroken(i int, broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.picture.Sites[i].Broken = broken
}

// heaterOn reads the heater's twin.
func (p *SitePicture) heaterOn() bool {
	i := slices.IndexFunc(p.Devices, func(d client.Device) bool { return d.Device == p.Plant.Heater })
	if i < 0 {
		return false
	}
	return slices.ContainsFunc(p.Devices[i].Points, func(pt client.Point) bool {
		return pt.Point == "on" && pt.Value != nil && *pt.Value != 0
	})
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }
