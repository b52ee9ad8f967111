package journal

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// maxArgs bounds the args of an intent in bytes: MaxArgs heads, names and
// numbers.
const maxArgs = 1 + wire.MaxArgs*(1+2+id.MaxName+9)

// maxLife is wire.MaxRemaining in microseconds.
const maxLife = wire.MaxRemaining * 1000

// Intent is the body of the record that a command begins with: somebody wants
// a device to do something. Nothing is sent before it is in the log.
type Intent struct {
	ID       id.Command
	Device   string // within the site
	Name     string // of the profile's command
	Args     []wire.Arg
	Issued   int64  // Unix microseconds, by the clock of the node that was asked
	Deadline int64  // Unix microseconds; it must begin before. At most wire.MaxRemaining after Issued
	By       string // who asked, at most wire.MaxText bytes; may be empty
}

// Append writes [1, id, device, name, args, issued, deadline, by]; args is a
// byte string of what wire.AppendArgs writes.
func (m Intent) Append(dst []byte) []byte {
	dst = appendUint(appendHead(dst, majorArray, 8), envelopeVersion)
	dst = appendID(dst, m.ID)
	dst = appendText(dst, m.Device)
	dst = appendText(dst, m.Name)
	args := wire.AppendArgs(nil, m.Args)
	dst = append(appendHead(dst, majorBytes, uint64(len(args))), args...)
	dst = appendUint(dst, uint64(m.Issued))
	dst = appendUint(dst, uint64(m.Deadline))
	return appendText(dst, m.By)
}

// ParseIntent reads what Intent.Append wrote.
func ParseIntent(body []byte) (Intent, error) {
	d := decoder{b: body}
	d.array(8, "intent")
	version(&d, "intent")
	m := Intent{ID: d.id()}
	m.Device = string(d.take(majorText, id.MaxName, "device"))
	_, err := id.ParseDevice(anySite + m.Device)
	d.demand(err)
	m.Name = string(d.take(majorText, id.MaxName, "name"))
	_, err = id.ParsePoint(m.Name)
	d.demand(err)
	args := d.take(majorBytes, maxArgs, "args")
	if d.err == nil {
		m.Args, err = wire.ParseArgs(args)
		d.demand(err)
	}
	m.Issued, m.Deadline = d.time("issued"), d.time("deadline")
	if d.err == nil && (m.Deadline < m.Issued || m.Deadline-m.Issued > maxLife) {
		d.fail("deadline: %d us after issued, want 0 to %d", m.Deadline-m.Issued, int64(maxLife))
	}
	m.By = string(d.take(majorText, wire.MaxText, "by"))
	if !utf8.ValidString(m.By) {
		d.fail("by: is not UTF-8")
	}
	if err := d.end(); err != nil {
		return Intent{}, fmt.Errorf("journal: intent: %w", err)
	}
	return m, nil
}

// AppendOutbox writes the body of the record after which a command may be
// sent, [1, id].
func AppendOutbox(dst []byte, command id.Command) []byte {
	return appendID(appendUint(appendHead(dst, majorArray, 2), envelopeVersion), command)
}

// ParseOutbox reads what AppendOutbox wrote.
func ParseOutbox(body []byte) (id.Command, error) {
	d := decoder{b: body}
	d.array(2, "outbox")
	version(&d, "outbox")
	command := d.id()
	if err := d.end(); err != nil {
		return id.Command{}, fmt.Errorf("journal: outbox: %w", err)
	}
	return command, nil
}

func appendID(dst []byte, c id.Command) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(c))), c[:]...)
}

func (d *decoder) id() (c id.Command) {
	b := d.take(majorBytes, len(c), "id")
	if d.err == nil && len(b) != len(c) {
		d.fail("id: %d bytes, want %d", len(b), len(c))
	}
	copy(c[:], b)
	return c
}

// time reads microseconds since the Unix epoch.
func (d *decoder) time(what string) int64 {
	us := d.uint(what)
	if us > math.MaxInt64 {
		d.fail("%s: %d us do not fit 63 bits", what, us)
		return 0
	}
	return int64(us)
}
