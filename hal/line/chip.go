package line

import "periph.io/x/conn/v3/gpio"

// Chip is a GPIO chip: /dev/gpiochipN (hal/host) or that of a simulated board
// (hal/remote).
type Chip interface {
	// Line returns the line at an offset on the chip. It must not block.
	Line(offset int) (gpio.PinIO, error)
	String() string
	Close() error
}

// Reader is a pin that can say that its level could not be had, which Read of
// gpio.PinIn cannot. A Device prefers it.
type Reader interface {
	TryRead() (gpio.Level, error)
}

func read(p gpio.PinIO) (gpio.Level, error) {
	if r, ok := p.(Reader); ok {
		return r.TryRead()
	}
	return p.Read(), nil
}

// bit is a level as profiles count them.
func bit(l gpio.Level) byte {
	if l {
		return 1
	}
	return 0
}
