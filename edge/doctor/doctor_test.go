package doctor_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/doctor"
	"github.com/atrium-iot/atrium/shared/id"
)

// sound are the facts of a gateway that nothing is wrong with.
func sound() doctor.Facts {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	return doctor.Facts{
		Subject: doctor.Subject{
			Gateway: id.Gateway{Site: "hq", Name: "gw-1"}, State: "/var/lib/atrium", Identity: "/etc/atrium/identity",
			Cloud: []string{"a:7443", "b:7443"}, Mode: "spill", Interval: 2 * time.Second,
			Limit: 272 << 20, Reserve: 24 << 20, Memory: 64 << 20,
		},
		Now: now, FileSystem: 0xef53, Free: 8 << 30, Synchronised: true,
		Nodes: []doctor.Node{{Path: "/dev/i2c-1", Group: "i2c"}},
		RMem:  7_340_032, WMem: 7_340_032, Resolved: map[string]error{},
		Certificate: doctor.Certificate{Gateway: "hq/gw-1", NotAfter: now.AddDate(1, 0, 0)},
		MemTotal:    512 << 20,
	}
}

func finding(t *testing.T, f *doctor.Facts, name string) doctor.Finding {
	t.Helper()
	for _, found := range doctor.Examine(f) {
		if found.Name == name {
			return found
		}
	}
	t.Fatalf("no finding %s", name)
	return doctor.Finding{}
}

func TestASoundGatewayHasNothingToComplainAbout(t *testing.T) {
	f := sound()
	all := doctor.Examine(&f)
	for _, found := range all {
		if found.Level != doctor.OK || found.Text == "" || found.Hint != "" {
			t.Errorf("%+v", found)
		}
	}
	if doctor.Failed(all) || len(all) != 11 {
		t.Errorf("%d findings, failed %t", len(all), doctor.Failed(all))
	}
}

func TestTheLossWindowOfTheModeIsSaidInSeconds(t *testing.T) {
	f := sound()
	if got := finding(t, &f, "loss-window"); !strings.Contains(got.Text, "mode spill: a crash or a power cut takes at most the readings of the last 2 s that the cloud has not acked") {
		t.Errorf("spill: %+v", got)
	}
	f.Subject.Mode, f.Subject.Interval = "always", 500*time.Millisecond
	if got := finding(t, &f, "loss-window"); !strings.Contains(got.Text, "the last 0.5 s; nothing is sent before it is on disk") {
		t.Errorf("always: %+v", got)
	}
}

func TestEachCheckFindsWhatItIsFor(t *testing.T) {
	for _, c := range []struct {
		what  string
		harm  func(f *doctor.Facts)
		name  string
		level doctor.Level
		text  string
	}{
		{"tmpfs", func(f *doctor.Facts) { f.FileSystem = 0x01021994 }, "state-folder", doctor.Warn, "is on tmpfs"},
		{"ramfs", func(f *doctor.Facts) { f.FileSystem = 0x858458f6 }, "state-folder", doctor.Warn, "is on ramfs"},
		{"overlay", func(f *doctor.Facts) { f.FileSystem = 0x794c7630 }, "state-folder", doctor.Warn, "is on an overlay"},
		{"volatile", func(f *doctor.Facts) { f.FileSystem = 0x01021994 }, "loss-window", doctor.Warn, "takes everything that the cloud has not acked"},
		{"network", func(f *doctor.Facts) { f.FileSystem = 0x6969 }, "state-folder", doctor.Warn, "network file system"},
		{"read-only", func(f *doctor.Facts) { f.ReadOnly = true }, "state-folder", doctor.Fail, "mounted read-only"},
		{"unwritable", func(f *doctor.Facts) { f.Unwritable = fs.ErrPermission }, "state-folder", doctor.Fail, "permission denied"},
		{"at the reserve", func(f *doctor.Facts) { f.Free = 23 << 20 }, "free-space", doctor.Fail, "23 MiB are free, less than the reserve of 24 MiB"},
		{"little space", func(f *doctor.Facts) { f.Free, f.Used = 200<<20, 50<<20 }, "free-space", doctor.Warn, "200 MiB are free and the buffer has 50 MiB"},
		{"enough with what it has", func(f *doctor.Facts) { f.Free, f.Used = 200<<20, 100<<20 }, "free-space", doctor.OK, ""},
		{"no clock", func(f *doctor.Facts) { f.Now = time.Unix(0, 0) }, "clock", doctor.Warn, "1970-01-01"},
		{"free-running clock", func(f *doctor.Facts) { f.Synchronised = false }, "clock", doctor.Warn, "not synchronised"},
		{"boot clock", func(f *doctor.Facts) { f.BootClock = errors.New("no /proc") }, "boot-clock", doctor.Fail, "no /proc"},
		{"no identity", func(f *doctor.Facts) { f.Certificate.Err = errors.New("identity: none") }, "identity", doctor.Fail, "identity: none"},
		{"another's", func(f *doctor.Facts) { f.Certificate.Gateway = "hq/gw-2" }, "identity", doctor.Fail, "that of hq/gw-2"},
		{"ended", func(f *doctor.Facts) { f.Certificate.NotAfter = f.Now.Add(-time.Hour) }, "identity", doctor.Fail, "ended on 2026-05-31"},
		{"ends soon", func(f *doctor.Facts) { f.Certificate.NotAfter = f.Now.AddDate(0, 0, 10) }, "identity", doctor.Warn, "ends on 2026-06-11"},
		{"one name", func(f *doctor.Facts) { f.Resolved["b:7443"] = errors.New("no such host") }, "gates", doctor.Warn, "b:7443: no such host"},
		{"no name", func(f *doctor.Facts) {
			f.Resolved["a:7443"], f.Resolved["b:7443"] = errors.New("no such host"), errors.New("no such host")
		}, "gates", doctor.Fail, "no gate's name resolves"},
		{"sockets", func(f *doctor.Facts) { f.RMem = 212_992 }, "socket-buffers", doctor.Warn, "rmem_max is 212992"},
		{"supply", func(f *doctor.Facts) { f.UnderVoltage = true }, "power", doctor.Warn, "too weak"},
		{"memory", func(f *doctor.Facts) { f.MemTotal = 100 << 20 }, "memory", doctor.Warn, "64 MiB of the machine's 100 MiB"},
		{"no bus", func(f *doctor.Facts) { f.Nodes[0].Err = fs.ErrNotExist }, "node /dev/i2c-1", doctor.Fail, "not there"},
		{"no group", func(f *doctor.Facts) { f.Nodes[0].Err = fs.ErrPermission }, "node /dev/i2c-1", doctor.Fail, "permission denied"},
	} {
		f := sound()
		c.harm(&f)
		got := finding(t, &f, c.name)
		if got.Level != c.level || !strings.Contains(got.Text, c.text) || (got.Hint == "") != (c.level == doctor.OK) {
			t.Errorf("%s: %+v, want %s with %q", c.what, got, c.level, c.text)
		}
		if doctor.Failed(doctor.Examine(&f)) != (c.level == doctor.Fail) {
			t.Errorf("%s: failed says otherwise", c.what)
		}
	}
}

func TestABusThatIsSwitchedOffSaysHowToSwitchItOn(t *testing.T) {
	for path, hint := range map[string]string{"/dev/i2c-1": "dtparam=i2c_arm=on", "/dev/spidev0.0": "dtparam=spi=on", "/dev/gpiochip4": "gpiodetect", "/dev/ttyS0": "buses"} {
		f := sound()
		f.Nodes = []doctor.Node{{Path: path, Err: fs.ErrNotExist}}
		if got := finding(t, &f, "node "+path); !strings.Contains(got.Hint, hint) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	f := sound()
	f.Nodes = []doctor.Node{{Path: "/dev/gpiochip0", Err: fs.ErrPermission, Group: "gpio"}}
	if got := finding(t, &f, "node /dev/gpiochip0"); !strings.Contains(got.Hint, "usermod -aG gpio USER") {
		t.Errorf("%+v", got)
	}
}

// The facts are read from the system's files, here those of another root.
func TestTheFactsComeFromTheSystem(t *testing.T) {
	root, state := t.TempDir(), filepath.Join(t.TempDir(), "not", "yet")
	for name, text := range map[string]string{
		"proc/sys/kernel/random/boot_id":         "b1ab5b0e-0000-4000-8000-000000000000\n",
		"proc/sys/net/core/rmem_max":             "212992\n",
		"proc/sys/net/core/wmem_max":             "425984\n",
		"proc/meminfo":                           "MemTotal:         443080 kB\nMemFree:           1000 kB\n",
		"sys/class/hwmon/hwmon0/name":            "cpu_thermal\n",
		"sys/class/hwmon/hwmon1/name":            "rpi_volt\n",
		"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
		"dev/i2c-1":                              "",
	} {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := doctor.Look(t.Context(), doctor.Subject{
		State: state, Identity: filepath.Join(root, "identity"), Nodes: []string{"/dev/i2c-1", "/dev/i2c-7"},
		Cloud: []string{"127.0.0.1:7443", "no.such.name.invalid:7443"},
	}, root)
	switch {
	case f.RMem != 212992 || f.WMem != 425984 || f.MemTotal != 443080<<10:
		t.Errorf("sockets %d and %d, memory %d", f.RMem, f.WMem, f.MemTotal)
	case !f.UnderVoltage:
		t.Error("the alarm of the supply was not read")
	case f.Nodes[0].Err != nil || f.Nodes[0].Group == "" || !errors.Is(f.Nodes[1].Err, fs.ErrNotExist):
		t.Errorf("nodes %+v", f.Nodes)
	case f.Resolved["127.0.0.1:7443"] != nil || f.Resolved["no.such.name.invalid:7443"] == nil:
		t.Errorf("names %v", f.Resolved)
	case f.Certificate.Err == nil:
		t.Error("an identity was read where there is none")
	case f.BootClock != nil:
		t.Errorf("boot clock: %v", f.BootClock)
	case f.Unwritable != nil || f.Free == 0 || f.FileSystem == 0:
		t.Errorf("the folder above the state's was not looked at: %v, %d free, %x", f.Unwritable, f.Free, f.FileSystem)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the doctor has made the state folder")
	}
}
