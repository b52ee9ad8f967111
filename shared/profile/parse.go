package profile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile/expr"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Parse compiles a document. Every error is a *config.Error: it has the file's
// name, line and column, and says what is wanted there.
func Parse(file string, data []byte) (*Profile, error) {
	d, err := config.Parse(file, data)
	if err != nil {
		return nil, err
	}
	in := document{Tick: defaultTick, Every: defaultEvery}
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	c := compiler{doc: d, in: &in, out: &Profile{}, names: map[string]int{}}
	for _, part := range []func() error{c.head, c.bus, c.programs, c.lets, c.points, c.commands} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	if c.out.Digest, err = digest(d); err != nil {
		return nil, err
	}
	return c.out, nil
}

// digest hashes the document as RFC 8949 4.2.1 encodes it.
func digest(d *config.Document) ([32]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return [32]byte{}, fmt.Errorf("profile: digest: %w", err)
	}
	b, err := mode.Marshal(d.Tree())
	if err != nil {
		return [32]byte{}, fmt.Errorf("profile: digest: %w", err)
	}
	return sha256.Sum256(b), nil
}

// compiler turns a document into a Profile, part by part.
type compiler struct {
	doc   *config.Document
	in    *document
	out   *Profile
	names map[string]int // to slots
}

func (c *compiler) head() error {
	if !validID(c.in.ID) {
		return c.doc.Errorf("$.id", `want vendor.type of lower-case letters, digits and hyphens, such as bosch.bme280, got %q`, c.in.ID)
	}
	if len(c.in.Title) > maxTitle {
		return c.doc.Errorf("$.title", "%d bytes, at most %d", len(c.in.Title), maxTitle)
	}
	c.out.ID, c.out.Version, c.out.Title = c.in.ID, c.in.Version, c.in.Title
	c.out.Tick, c.out.Every = c.in.Tick, c.in.Every
	return nil
}

// validID accepts vendor.type, each a label as shared/id knows it.
func validID(s string) bool {
	vendor, kind, ok := strings.Cut(s, ".")
	if !ok {
		return false
	}
	_, err1 := id.ParseSite(vendor) // the grammar of a label
	_, err2 := id.ParseSite(kind)
	return err1 == nil && err2 == nil
}

// bus sets the kind of bus, which decides what else a document may hold.
func (c *compiler) bus() error {
	b := c.in.Bus
	c.out.Bus = Bus{Type: b.Type, Addresses: b.Addr, MaxHz: b.MaxHz}
	switch b.Type {
	case BusGPIO:
		if err := c.absent("$.bus", "a GPIO chip has none", "addr", "max_hz"); err != nil {
			return err
		}
		return c.absent("$", "a device on GPIO lines has none: it has lines", "calib", "init", "read")
	case BusI2C:
		return c.i2c(b.Addr)
	}
	return c.doc.Errorf("$.bus.type", "want i2c or gpio, got %q", b.Type)
}

func (c *compiler) i2c(addr []uint16) error {
	if len(addr) == 0 {
		return c.doc.Errorf("$.bus.addr", "want at least one address such as 0x48")
	}
	for i, a := range addr {
		if slices.Contains(addr[:i], a) {
			return c.doc.Errorf(config.Index("$.bus.addr", i), "%#02x is given twice", a)
		}
	}
	if !c.doc.Has("$.read") {
		return c.doc.Errorf("$.read", "missing")
	}
	return c.absent("$", "only a device on GPIO lines has them", "lines", "commands")
}

// absent refuses keys that have no meaning where they stand.
func (c *compiler) absent(path, why string, keys ...string) error {
	for _, key := range keys {
		if at := config.Join(path, key); c.doc.Has(at) {
			return c.doc.Errorf(at, "%s", why)
		}
	}
	return nil
}

// define gives a name the next slot.
func (c *compiler) define(path, name string) (int, error) {
	switch {
	case !identifier(name):
		return 0, c.doc.Errorf(path, "name %q: want a letter or _, then letters, digits and _, at most %d", name, maxName)
	case expr.IsFunction(name):
		return 0, c.doc.Errorf(path, "name %q is a function's", name)
	case len(c.names) == maxNames:
		return 0, c.doc.Errorf(path, "more than %d names", maxNames)
	}
	if _, twice := c.names[name]; twice {
		return 0, c.doc.Errorf(path, "name %q is used twice", name)
	}
	slot := len(c.names)
	c.names[name] = slot
	return slot, nil
}

func identifier(s string) bool { return expr.IsName(s) && len(s) <= maxName }

func (c *compiler) lets() error {
	for i, l := range c.in.Let {
		path := config.Index("$.let", i)
		p, err := c.expression(config.Join(path, "expr"), l.Expr, c.names)
		if err != nil {
			return err
		}
		if _, err := c.define(config.Join(path, "name"), l.Name); err != nil {
			return err
		}
		c.out.lets = append(c.out.lets, p)
	}
	c.out.slots = len(c.names)
	return nil
}

// expression compiles arithmetic over names, which stand for slots.
func (c *compiler) expression(path, source string, names map[string]int) (*expr.Program, error) {
	p, err := expr.Compile(source, func(name string) (int, bool) {
		slot, ok := names[name]
		return slot, ok
	})
	if err == nil {
		return p, nil
	}
	text := err.Error()
	if strings.Contains(text, "unknown name") && len(names) > 0 {
		text += ", want one of " + strings.Join(slices.Sorted(maps.Keys(names)), ", ")
	}
	return nil, c.doc.Errorf(path, "%s", text)
}

func (c *compiler) points() error {
	if n := len(c.in.Points); n == 0 || n > wire.MaxColumns {
		return c.doc.Errorf("$.points", "want 1 to %d points, got %d", wire.MaxColumns, n)
	}
	for i := range c.in.Points {
		path := config.Index("$.points", i)
		p, err := c.point(path, &c.in.Points[i])
		if err != nil {
			return err
		}
		value, err := c.expression(config.Join(path, "expr"), c.in.Points[i].Expr, c.names)
		if err != nil {
			return err
		}
		c.out.Points = append(c.out.Points, p)
		c.out.values = append(c.out.values, value)
	}
	return nil
}

var errKind = errors.New("want number, boolean or counter")

func (c *compiler) point(path string, in *pointDoc) (Point, error) {
	fail := func(key, format string, args ...any) (Point, error) {
		return Point{}, c.doc.Errorf(config.Join(path, key), format, args...)
	}
	name, err := id.ParsePoint(in.Name)
	if err != nil {
		return fail("name", "%v", err)
	}
	if name == HealthPoint {
		return fail("name", "every device has a point %q, which tells whether it can be read: choose another", name)
	}
	if _, twice := c.out.Point(name); twice {
		return fail("name", "point %q is given twice", name)
	}
	kind, err := parseKind(in.Kind)
	if err != nil {
		return fail("kind", "%v, got %q", err, in.Kind)
	}
	out := Point{Name: name, Kind: kind, Unit: in.Unit, Mantissa: 1, Deadband: in.Deadband}
	if out.Unit == "" && kind != wire.KindNumber {
		out.Unit = "1"
	}
	if !validUnit(out.Unit) {
		return fail("unit", "want a UCUM code such as Cel, Pa or %%RH, of at most %d characters, got %q", wire.MaxUnit, in.Unit)
	}
	switch {
	case in.Resolution != nil && kind == wire.KindBoolean:
		return fail("resolution", "a boolean has none")
	case in.Resolution != nil:
		out.Mantissa, out.Exponent = in.Resolution.mantissa, in.Resolution.exponent
	case kind == wire.KindNumber:
		return fail("resolution", "missing: the smallest step worth keeping, in %s", out.Unit)
	}
	return c.limits(path, in, out)
}

// limits sets what a point can measure.
func (c *compiler) limits(path string, in *pointDoc, out Point) (Point, error) {
	path = config.Join(path, "range")
	switch {
	case in.Range == nil && out.Kind == wire.KindBoolean:
		out.Max = 1
		return out, nil
	case out.Kind == wire.KindBoolean:
		return Point{}, c.doc.Errorf(path, "a boolean has none")
	case len(in.Range) != 2 || in.Range[0] >= in.Range[1]:
		return Point{}, c.doc.Errorf(path, "want [lowest, highest] in %s", out.Unit)
	}
	out.Min, out.Max = in.Range[0], in.Range[1]
	for i, x := range in.Range {
		if _, q := out.Quantise(x); q != wire.Good {
			return Point{}, c.doc.Errorf(config.Index(path, i), "%g is more than 2^53 steps of the resolution", x)
		}
	}
	return out, nil
}

func parseKind(s string) (wire.ColumnKind, error) {
	switch s {
	case "", "number":
		return wire.KindNumber, nil
	case "boolean":
		return wire.KindBoolean, nil
	case "counter":
		return wire.KindCounter, nil
	}
	return 0, errKind
}

func validUnit(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= wire.MaxUnit
}
