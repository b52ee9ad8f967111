package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// Lines is a GPIO chip of Linux. It is safe for several goroutines, its lines
// each for one.
type Lines struct {
	chip *gpioioctl.GPIOChip

	mu   sync.Mutex
	used map[int]*gpioioctl.GPIOLine
}

// OpenLines opens a GPIO chip of Linux by its name, "gpiochip0" or
// "/dev/gpiochip0", or by its label, "pinctrl-bcm2835": the kernel may number
// chips otherwise after an update, but a label stays. The error says what to do
// when the chip does not exist or may not be opened. Chips that come after the
// first call in a process are not found. The caller closes the chip.
func OpenLines(name string) (*Lines, error) {
	path, err := chipPath(name)
	if err != nil {
		return nil, err
	}
	if path != "" {
		if err := check(path); err != nil {
			return nil, explain(gpioDevices, path, err)
		}
		// A Raspberry Pi 5 has gpiochip4 as a link to gpiochip0, and periph
		// keeps one of them.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, fmt.Errorf("host: %w", err)
		}
	}
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("host: drivers: %w", err)
	}
	chip, err := find(gpioioctl.Chips, path, name)
	if err != nil {
		return nil, err
	}
	return &Lines{chip: chip, used: map[int]*gpioioctl.GPIOLine{}}, nil
}

// chipPath returns the path of a chip, gpiochipN with or without /dev/ before it,
// or nothing for a label.
func chipPath(name string) (string, error) {
	if number, ok := strings.CutPrefix(strings.TrimPrefix(name, devices+"/"), "gpiochip"); ok {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && strconv.FormatUint(n, 10) == number {
			return gpioDevices.prefix + number, nil
		}
	}
	if name == "" || strings.ContainsRune(name, '/') {
		return "", fmt.Errorf("host: GPIO chip %q: want a name such as gpiochip0 or /dev/gpiochip0, or a label such as pinctrl-bcm2835", name)
	}
	return "", nil
}

// described is what is asked of a chip to find it.
type described interface {
	Name() string
	Label() string
}

// find returns the chip at a path, or without one the only chip with a label.
func find[C described](chips []C, path, label string) (found C, err error) {
	var match, all []string
	for _, c := range chips {
		all = append(all, fmt.Sprintf("%s (%s)", c.Name(), c.Label()))
		if path != "" && c.Name() == filepath.Base(path) || path == "" && c.Label() == label {
			found = c
			match = append(match, c.Name())
		}
	}
	slices.Sort(all)
	slices.Sort(match)
	switch {
	case len(match) == 1:
		return found, nil
	case len(match) > 1:
		return found, fmt.Errorf("host: the label %s belongs to %s; name one of them", label, strings.Join(match, " and "))
	case path != "":
		return found, fmt.Errorf("host: %s is no GPIO chip that the kernel describes, or came after this program's first chip", path)
	case len(all) > 0:
		return found, fmt.Errorf("host: no GPIO chip has the label %s, there is %s", label, strings.Join(all, ", "))
	}
	return found, unlabelled(gpioDevices, label)
}

// unlabelled says why there is no chip at all to have a label.
func unlabelled(f family, label string) error {
	paths, err := filepath.Glob(f.prefix + "*")
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	for _, path := range paths {
		if err := check(path); errors.Is(err, fs.ErrPermission) {
			return explain(f, path, err)
		}
	}
	return fmt.Errorf("host: no GPIO chip has the label %s (%s); %s", label, present(f), f.enable)
}

// String returns the chip's name, gpiochip0.
func (l *Lines) String() string { return l.chip.Name() }

// Line returns the line at an offset on the chip. Nothing is requested from the
// kernel before its In or Out, which fails with "device or resource busy" when
// another program has the line. Never read an output: periph makes it an input
// that is pulled up, so that a relay releases. Out of a line that was no output
// drives it low for a moment before it is high.
func (l *Lines) Line(offset int) (gpio.PinIO, error) {
	if n := l.chip.LineCount(); offset < 0 || offset >= n {
		return nil, fmt.Errorf("host: %s has the lines 0 to %d, not %d", l, n-1, offset)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.chip.ByNumber(offset)
	l.used[offset] = p
	return pin{p}, nil
}

// pin is a line of periph's, which takes itself for an output even if the kernel
// refused it ("device or resource busy"), and would never ask again.
type pin struct{ *gpioioctl.GPIOLine }

// Out implements gpio.PinOut. A line that cannot be driven is given back, and
// requested with the next.
func (p pin) Out(l gpio.Level) error {
	err := p.GPIOLine.Out(l)
	if err != nil {
		p.Close()
	}
	return err
}

// Close gives the lines that were handed out back to the kernel, which may make
// them inputs. The chip itself stays open as long as the process: periph opens
// it once, and its Close would close standard input too (it closes its
// descriptor after it has set it to 0).
func (l *Lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.used {
		p.Close()
	}
	clear(l.used)
	return nil
}
