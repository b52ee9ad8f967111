package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

func TestAGPIOChipThatDoesNotExistIsNamedWithWhatToDo(t *testing.T) {
	for _, name := range []string{"gpiochip65535", "/dev/gpiochip65535"} {
		_, err := OpenLines(name)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/dev/gpiochip65535 does not exist") || !strings.Contains(err.Error(), "CONFIG_GPIO_CDEV") {
			t.Errorf("OpenLines(%q) = %v", name, err)
		}
	}
	if _, err := OpenLines("no-such-label"); err == nil || !strings.Contains(err.Error(), "no GPIO chip has the label no-such-label") {
		t.Errorf("an unknown label: %v", err)
	}
}

func TestAGPIOChipNameOutsideTheGrammarIsRefused(t *testing.T) {
	for _, name := range []string{"", "/dev/gpiochip", "/dev/gpiochip-1", "/dev/gpiochip01", "/dev/mem", "/dev/../gpiochip0", "gpiochip0/../mem", "/dev/gpiochip99999"} {
		if _, err := OpenLines(name); err == nil || !strings.Contains(err.Error(), "want a name such as gpiochip0") {
			t.Errorf("OpenLines(%q) = %v", name, err)
		}
	}
}

func TestAForbiddenGPIOChipNamesTheGroup(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/dev/gpiochip0", Err: syscall.EACCES}
	if err := explain(gpioDevices, "/dev/gpiochip0", denied); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "group gpio") {
		t.Errorf("explain = %v", err)
	}
}

// chip is a chip as the kernel describes it: name and label.
type chip [2]string

func (c chip) Name() string  { return c[0] }
func (c chip) Label() string { return c[1] }

func TestAGPIOChipIsFoundByItsNameOrByALabelThatItAloneHas(t *testing.T) {
	chips := []chip{{"gpiochip0", "pinctrl-bcm2711"}, {"gpiochip2", "pcf8574"}, {"gpiochip1", "pcf8574"}}
	for name, want := range map[string]struct{ found, err string }{
		"gpiochip1":       {found: "gpiochip1"},
		"/dev/gpiochip0":  {found: "gpiochip0"},
		"pinctrl-bcm2711": {found: "gpiochip0"},
		"gpiochip7":       {err: "/dev/gpiochip7 is no GPIO chip that the kernel describes"},
		"pcf8574":         {err: "the label pcf8574 belongs to gpiochip1 and gpiochip2; name one of them"},
		"pcf8575":         {err: "no GPIO chip has the label pcf8575, there is gpiochip0 (pinctrl-bcm2711), gpiochip1 (pcf8574), gpiochip2 (pcf8574)"},
	} {
		path, err := chipPath(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := find(chips, path, name)
		if want.err == "" && (err != nil || got.Name() != want.found) || want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err)) {
			t.Errorf("%s: found %v, %v; want %+v", name, got, err, want)
		}
	}
}

// Without the pin around it periph's line believes after a refusal that it is an
// output, and drives file descriptor 0 from then on.
func TestALineThatTheKernelRefusedIsAskedForAgain(t *testing.T) {
	p := pin{new(gpioioctl.GPIOLine)} // of a chip that is file descriptor 0, and no chip
	for range 2 {
		if err := p.Out(gpio.High); err == nil || !strings.Contains(err.Error(), "line_request") {
			t.Errorf("Out = %v, want that the line was requested", err)
		}
	}
}

// periph opens all chips at once and only logs which it could not: who asks for
// a label must be told that it is a matter of permission.
func TestALabelOfChipsThatMayNotBeOpenedNamesTheGroup(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may open everything")
	}
	f := family{"GPIO chip", filepath.Join(t.TempDir(), "gpiochip"), "gpio", "make one"}
	if err := os.WriteFile(f.prefix+"0", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := unlabelled(f, "pinctrl-bcm2711"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "group gpio") {
		t.Errorf("unlabelled = %v", err)
	}
}
