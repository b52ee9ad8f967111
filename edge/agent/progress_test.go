package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

func TestACounterThatStandsStillForTooLongIsReported(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	var n uint64
	p := &progress{read: func() uint64 { return n }}
	p.expect(start, 2*time.Minute)
	check := func(after time.Duration, want string) {
		t.Helper()
		err := p.check(start.Add(after))
		switch {
		case want == "" && err != nil:
			t.Errorf("after %v: %v", after, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("after %v: %v, want %q", after, err, want)
		}
	}
	check(2*time.Minute, "")
	check(2*time.Minute+time.Second, "no reading for 2m1s")
	n = 1
	check(3*time.Minute, "")
	check(5*time.Minute, "")
	check(6*time.Minute, "no reading for 3m0s")

	// A reload that brings devices to a gateway that had none, or none that
	// worked: theirs is the time from now on.
	p.expect(start.Add(24*time.Hour), 2*time.Minute)
	check(24*time.Hour+time.Minute, "")
	check(24*time.Hour+3*time.Minute, "no reading for 3m0s")
}

func TestHowLongNoReadingIsTooLongFollowsTheDevices(t *testing.T) {
	devices := func(list ...DeviceConfig) map[id.Device]DeviceConfig {
		m := map[id.Device]DeviceConfig{}
		for i, d := range list {
			m[id.Device{Site: "hq", Name: string(rune('a' + i))}] = d
		}
		return m
	}
	for _, c := range []struct {
		name    string
		devices map[id.Device]DeviceConfig
		want    time.Duration
	}{
		{"fast devices: the least", devices(DeviceConfig{Every: time.Second, Heartbeat: 10 * time.Second}), minStall},
		{"three intervals of the fastest, twice over", devices(DeviceConfig{Every: time.Hour}, DeviceConfig{Every: 2 * time.Hour}), 6 * time.Hour},
		{"three heartbeats of a device that is silent between", devices(DeviceConfig{Every: time.Second, Heartbeat: time.Hour}), 3 * time.Hour},
	} {
		if got := stallAfter(c.devices); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := stallAfter(nil); got < 24*365*time.Hour {
		t.Errorf("without devices: %v, want for ever", got)
	}
}
