package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/driver/driverreg"
)

// Init fails on any machine if a driver needs one that is not imported.
func TestTheDriversHaveAllThatTheyNeed(t *testing.T) {
	if _, err := driverreg.Init(); err != nil {
		t.Error(err)
	}
}

func TestABusThatDoesNotExistIsNamedWithWhatToDo(t *testing.T) {
	for _, name := range []string{"i2c-65535", "/dev/i2c-65535"} {
		_, err := OpenI2C(name)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/dev/i2c-65535 does not exist") || !strings.Contains(err.Error(), "dtparam=i2c_arm=on") {
			t.Errorf("OpenI2C(%q) = %v", name, err)
		}
	}
}

func TestABusNameOutsideTheGrammarIsRefused(t *testing.T) {
	for _, name := range []string{"", "1", "i2c-", "i2c-x", "i2c-01", "i2c--1", "/dev/../i2c-1", "/tmp/i2c-1", "i2c-1/../mem", "i2c-99999", "sim-i2c-1"} {
		if _, err := OpenI2C(name); err == nil || !strings.Contains(err.Error(), "want a name such as i2c-1") {
			t.Errorf("OpenI2C(%q) = %v", name, err)
		}
	}
}

func TestAForbiddenBusNamesTheGroup(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/dev/i2c-1", Err: syscall.EACCES}
	if err := explain(i2cDevices, "/dev/i2c-1", denied); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "group i2c") {
		t.Errorf("explain = %v", err)
	}
}

func TestTheDevicesThatThereAreAreListed(t *testing.T) {
	dir := t.TempDir()
	f := family{"I2C bus", filepath.Join(dir, "i2c-"), "i2c", "enable it"}
	missing := func() error {
		path := f.prefix + "7"
		return explain(f, path, check(path))
	}
	if err := missing(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no I2C bus") {
		t.Errorf("without any: %v", err)
	}
	for _, n := range []string{"1", "0"} {
		if err := os.WriteFile(f.prefix+n, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := missing(); !strings.Contains(err.Error(), f.prefix+"0, "+f.prefix+"1") {
		t.Errorf("with two: %v", err)
	}
	if err := check(f.prefix + "0"); err != nil {
		t.Errorf("a device that can be opened: %v", err)
	}
}
