package bus

import (
	"errors"
	"strings"
)

// ErrorKind says what went wrong on a bus. It is a metric's label.
type ErrorKind string

// The kinds of errors.
const (
	KindNone        ErrorKind = "none"
	KindNack        ErrorKind = "nack"        // nobody answers at the address
	KindTimeout     ErrorKind = "timeout"     // the controller gave up: stretched clock, stuck line; on i2c-imx also an absent address
	KindArbitration ErrorKind = "arbitration" // another master won, or the bus was busy; of a line, another program holds it
	KindCRC         ErrorKind = "crc"         // the bytes came, but changed
	KindPoll        ErrorKind = "poll"        // the device was never ready
	KindStall       ErrorKind = "stall"       // beyond the owner's deadline
	KindQuarantine  ErrorKind = "quarantine"  // not tried, after a stall
	KindUnreachable ErrorKind = "unreachable" // the board process of a remote bus is not there
	KindClosed      ErrorKind = "closed"      // not tried, or given up, as the bus closes
	KindOther       ErrorKind = "other"
)

// kinds lists every kind, for the metrics.
var kinds = []ErrorKind{KindNack, KindTimeout, KindArbitration, KindCRC, KindPoll, KindStall, KindQuarantine, KindUnreachable, KindClosed, KindOther}

// texts are the words of the kernel's errors for I2C
// (Documentation/i2c/fault-codes.rst) as Go prints them, of hal/regmap and of
// hal/remote.
var texts = []struct {
	text string
	kind ErrorKind
}{
	{"is unreachable", KindUnreachable},          // hal/remote
	{"crc mismatch", KindCRC},                    // hal/regmap
	{"never ready", KindPoll},                    // hal/regmap
	{"remote i/o error", KindNack},               // EREMOTEIO: i2c-bcm2835
	{"no such device or address", KindNack},      // ENXIO
	{"connection timed out", KindTimeout},        // ETIMEDOUT
	{"resource temporarily un", KindArbitration}, // EAGAIN
	{"device or resource busy", KindArbitration}, // EBUSY
	{"bad message", KindCRC},                     // EBADMSG: SMBus PEC
}

// Kind classifies an error by its text, because periph wraps the kernel's
// errors with %v: errors.Is cannot see through it. Only this package's own
// errors are recognised as values. Kind(nil) is KindNone.
func Kind(err error) ErrorKind {
	switch {
	case err == nil:
		return KindNone
	case errors.Is(err, ErrStalled):
		return KindStall
	case errors.Is(err, ErrQuarantined):
		return KindQuarantine
	case errors.Is(err, ErrClosed):
		return KindClosed
	}
	s := strings.ToLower(err.Error())
	for _, t := range texts {
		if strings.Contains(s, t.text) {
			return t.kind
		}
	}
	return KindOther
}
