package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/edge/agent"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/simulator/board"
	"github.com/atrium-iot/atrium/tests/boards/look"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

func TestTheBoardsConfigurationIsTwentyDevicesOfFivePoints(t *testing.T) {
	wide, err := line.WideProfile()
	if err != nil {
		t.Fatal(err)
	}
	library, keys := t.TempDir(), gateway.Keys
	if err := os.WriteFile(filepath.Join(library, "wide.yaml"), wide, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := agent.ParseConfig("edge.yaml", []byte(strings.Replace(gateway.EdgeYAML(place), keys, "profiles: "+library, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Gateway.String() != gateway.Name() || len(c.Devices) != devices || c.Cloud[0] != gateAddress {
		t.Errorf("configuration %+v", c)
	}
	for _, d := range c.Devices {
		if got := len(d.Profile.Points); got != line.WidePoints || d.Every != time.Second {
			t.Errorf("%s has %d points every %s", d.Device, got, d.Every)
		}
	}
	b, err := board.ParseConfig("board.yaml", []byte(gateway.BoardYAML()))
	if err != nil || len(b.Buses) != len(c.Buses) {
		t.Errorf("board %+v, %v; the agent has %d buses", b, err, len(c.Buses))
	}
}

func TestTheBoardHasBothSidesOfOneCluster(t *testing.T) {
	files := map[string]string{}
	if err := issue(files, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := identity.OpenCA(filepath.Join(root, caFolder))
	if err != nil {
		t.Fatal(err)
	}
	creds, err := sharedid.Load(filepath.Join(root, place.Identity))
	if err != nil || creds.Cluster != ca.Cluster() || creds.Gateway.String() != gateway.Name() {
		t.Errorf("identity %+v of cluster %s, %v", creds, ca.Cluster(), err)
	}
}

// seen is a look some seconds after the start of a run in which all is well.
func seen(second int) look.Look {
	n := uint64(100 * second)
	return look.Look{
		Up: time.Duration(second) * time.Second, Connected: true, Devices: devices, Sampled: n + 100, Acked: n, Taken: n,
		Memory: proc.Memory{RSS: 20e6, PeakRSS: 21e6}, CPU: time.Duration(second) * 500 * time.Millisecond,
	}
}

func TestWhatWasSeenBeforeAllDevicesWereAckedDoesNotCount(t *testing.T) {
	apart, few := seen(3), seen(4)
	apart.Connected, few.Devices = false, devices-1
	if got := live([]look.Look{seen(0), apart, few, seen(5), apart}); len(got) != 2 || got[0].Up != 5*time.Second {
		t.Errorf("live %+v", got)
	}
	if got := live([]look.Look{seen(0)}); got != nil {
		t.Errorf("live %+v, though nothing was acked", got)
	}
}

func TestTheVerdictIsTheMostMemoryAndTheRates(t *testing.T) {
	middle := seen(20)
	middle.Memory.RSS = 22e6
	v, err := judge([]look.Look{seen(10), middle, seen(30)})
	if err != nil || v.last.Memory.RSS != 22e6 || v.sampled != 100 || v.acked != 100 || v.cpu != 0.5 {
		t.Errorf("verdict %+v, %v", v, err)
	}
}

func TestARunThatIsNotTheAimIsAnError(t *testing.T) {
	for want, change := range map[string]func(*look.Look){
		"of which the gate took": func(l *look.Look) { l.Taken-- }, // I2
		"connected: false":       func(l *look.Look) { l.Connected = false },
		"19 devices":             func(l *look.Look) { l.Devices-- },
		"not even the 100":       func(l *look.Look) { l.Acked = 1050 },
		"45.1 MB resident, want": func(l *look.Look) { l.Memory.PeakRSS = 45_100_000 },
	} {
		last := seen(30)
		change(&last)
		if _, err := judge([]look.Look{seen(10), seen(20), last}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
