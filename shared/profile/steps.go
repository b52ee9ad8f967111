package profile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/config"
)

// buffer is what one tx reads, by its name.
type buffer struct {
	name  string
	at, n int // n shrinks when a crc step removes its bytes
}

// sizes of the raw types without their byte order, and whether they are signed.
var types = map[string]struct {
	size   int
	signed bool
}{
	"u8": {1, false}, "s8": {1, true}, "u16": {2, false}, "s16": {2, true},
	"u24": {3, false}, "s24": {3, true}, "u32": {4, false}, "s32": {4, true},
}

// programs compiles what is done on the bus and the numbers that come of it:
// calibration first, as its names come first.
func (c *compiler) programs() error {
	if c.in.Bus.Type == BusGPIO {
		return c.levels()
	}
	var buffers []buffer
	var err error
	if c.doc.Has("$.calib") {
		if c.out.Calibration, buffers, err = c.program("$.calib.steps", c.in.Calib.Steps); err != nil {
			return err
		}
		if c.out.calibration, err = c.cuts("$.calib.raw", c.in.Calib.Raw, buffers); err != nil {
			return err
		}
	}
	if c.out.Init, buffers, err = c.program("$.init", c.in.Init); err != nil {
		return err
	}
	if len(buffers) > 0 {
		return c.doc.Errorf("$.init", "init reads nothing: use calib for what must be kept")
	}
	if c.out.Read, buffers, err = c.program("$.read", c.in.Read); err != nil {
		return err
	}
	c.out.raw, err = c.cuts("$.raw", c.in.Raw, buffers)
	return err
}

func (c *compiler) program(path string, in []stepDoc) (Program, []buffer, error) {
	var out Program
	var buffers []buffer
	var waits time.Duration
	if len(in) > maxSteps {
		return out, nil, c.doc.Errorf(path, "%d steps, at most %d", len(in), maxSteps)
	}
	for i := range in {
		at := config.Index(path, i)
		s, err := c.step(at, &in[i], &out, &buffers)
		if err != nil {
			return out, nil, err
		}
		if waits += s.Wait * time.Duration(max(s.Tries, 1)); waits > maxWaits {
			return out, nil, c.doc.Errorf(at, "the waits add up to more than %v", maxWaits)
		}
		out.Steps = append(out.Steps, s)
	}
	return out, buffers, nil
}

func (c *compiler) step(path string, in *stepDoc, p *Program, buffers *[]buffer) (Step, error) {
	given := 0
	for _, is := range []bool{in.Tx != nil, in.Delay != nil, in.Poll != nil, in.CRC != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return Step{}, c.doc.Errorf(path, "want one of tx, delay, poll, crc, got %d of them", given)
	case in.Tx != nil:
		return c.tx(config.Join(path, "tx"), in.Tx, p, buffers)
	case in.Delay != nil:
		return Step{Op: OpDelay, Wait: *in.Delay}, nil
	case in.Poll != nil:
		return c.poll(config.Join(path, "poll"), in.Poll)
	}
	return c.crc(config.Join(path, "crc"), in.CRC, *buffers)
}

func (c *compiler) tx(path string, in *txDoc, p *Program, buffers *[]buffer) (Step, error) {
	s := Step{Op: OpTx, W: in.W, At: p.Scratch, N: in.R}
	switch {
	case len(in.W) == 0 && in.R == 0:
		return s, c.doc.Errorf(path, "want w, r or both")
	case len(in.W) > maxWrite:
		return s, c.doc.Errorf(config.Join(path, "w"), "%d bytes, at most %d", len(in.W), maxWrite)
	case in.R == 0 && in.As != "":
		return s, c.doc.Errorf(config.Join(path, "as"), "names what is read, but r is missing")
	case in.R == 0:
		return s, nil
	case p.Scratch+in.R > maxScratch:
		return s, c.doc.Errorf(config.Join(path, "r"), "the steps read more than %d bytes", maxScratch)
	case in.As != "" && !identifier(in.As):
		return s, c.doc.Errorf(config.Join(path, "as"), "want a name of letters and digits, got %q", in.As)
	}
	for _, b := range *buffers {
		if b.name == in.As && in.As != "" {
			return s, c.doc.Errorf(config.Join(path, "as"), "%q is used twice", in.As)
		}
	}
	*buffers = append(*buffers, buffer{in.As, p.Scratch, in.R})
	p.Scratch += in.R
	return s, nil
}

func (c *compiler) poll(path string, in *pollDoc) (Step, error) {
	switch {
	case len(in.W) == 0 || len(in.W) > maxWrite:
		return Step{}, c.doc.Errorf(config.Join(path, "w"), "want 1 to %d bytes", maxWrite)
	case in.Eq&^in.Mask != 0:
		return Step{}, c.doc.Errorf(config.Join(path, "eq"), "%#02x has bits outside the mask %#02x: it is never reached", in.Eq, in.Mask)
	case in.Limit < in.Every:
		return Step{}, c.doc.Errorf(config.Join(path, "limit"), "want at least every, %v", in.Every)
	}
	return Step{Op: OpPoll, W: in.W, Wait: in.Every, Tries: int(in.Limit/in.Every) + 1, Mask: in.Mask, Want: in.Eq}, nil
}

func (c *compiler) crc(path string, in *crcDoc, buffers []buffer) (Step, error) {
	if len(buffers) == 0 {
		return Step{}, c.doc.Errorf(path, "no step before it reads")
	}
	b := &buffers[len(buffers)-1]
	s := Step{Op: OpCRC, At: b.at, N: b.n, CRC: CRC{in.Poly, in.Init, in.Xor, in.Word}}
	if b.n%(in.Word+1) != 0 {
		return s, c.doc.Errorf(config.Join(path, "word"), "%d bytes were read, which is no multiple of %d and its CRC byte", b.n, in.Word)
	}
	b.n -= b.n / (in.Word + 1)
	return s, nil
}

// cuts compiles raw numbers in the order of their names, which is as good as
// any and does not depend on the document's.
func (c *compiler) cuts(path string, in map[string]rawDoc, buffers []buffer) ([]cut, error) {
	var out []cut
	for _, name := range slices.Sorted(maps.Keys(in)) {
		at := config.Join(path, name)
		raw := in[name]
		k, err := c.cut(at, &raw, buffers)
		if err != nil {
			return nil, err
		}
		if k.slot, err = c.define(at, name); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

func (c *compiler) cut(path string, in *rawDoc, buffers []buffer) (cut, error) {
	if c.in.Bus.Type == BusGPIO {
		return c.level(path, in)
	}
	if err := c.absent(path, "an I2C device has no lines", "line"); err != nil {
		return cut{}, err
	}
	b, err := c.source(path, in.From, buffers)
	if err != nil {
		return cut{}, err
	}
	k := cut{sign: in.Sign, shift: in.Shift, mask: in.Mask}
	var bits uint
	switch {
	case (in.Type == "") == (in.Parts == nil):
		return k, c.doc.Errorf(path, "want type or parts, one of them")
	case in.Parts != nil && in.At != 0:
		return k, c.doc.Errorf(config.Join(path, "at"), "parts name their bytes themselves")
	case in.Parts != nil:
		bits, err = c.parts(path, in, b, &k)
	default:
		bits, err = c.typed(path, in, b, &k)
	}
	switch {
	case err != nil:
		return k, err
	case k.sign > bits:
		return k, c.doc.Errorf(config.Join(path, "sign"), "%d bits, but the number has %d", k.sign, bits)
	case k.shift >= bits:
		return k, c.doc.Errorf(config.Join(path, "shift"), "by %d leaves nothing of %d bits", k.shift, bits)
	case k.sign != 0 && k.mask != 0:
		return k, c.doc.Errorf(config.Join(path, "mask"), "not together with a signed number")
	}
	return k, nil
}

// source finds the buffer that a number is cut from.
func (c *compiler) source(path, from string, buffers []buffer) (buffer, error) {
	var names []string
	for _, b := range buffers {
		if b.name == from && (from != "" || len(buffers) == 1) {
			return b, nil
		}
		if b.name != "" {
			names = append(names, b.name)
		}
	}
	switch {
	case len(buffers) == 0:
		return buffer{}, c.doc.Errorf(path, "no step reads anything")
	case from == "" && len(buffers) == 1:
		return buffers[0], nil
	case from == "":
		return buffer{}, c.doc.Errorf(path, "several steps read: name one with as and say from")
	}
	return buffer{}, c.doc.Errorf(config.Join(path, "from"), "no step reads as %q, want one of %s", from, strings.Join(names, ", "))
}

func (c *compiler) typed(path string, in *rawDoc, b buffer, k *cut) (bits uint, err error) {
	plain := strings.TrimSuffix(strings.TrimSuffix(in.Type, "be"), "le")
	t, ok := types[plain]
	if !ok || (t.size > 1) == (plain == in.Type) {
		return 0, c.doc.Errorf(config.Join(path, "type"), "want u8, s8, or u16, s16, u24, s24, u32, s32 with be or le behind it, got %q", in.Type)
	}
	if in.At+t.size > b.n {
		return 0, c.doc.Errorf(config.Join(path, "at"), "%d + %d bytes of %s lie behind the %d that are read", in.At, t.size, in.Type, b.n)
	}
	k.at, k.size, k.little = b.at+in.At, t.size, strings.HasSuffix(in.Type, "le")
	if t.signed && k.sign == 0 {
		k.sign = uint(8 * t.size)
	}
	return uint(8 * t.size), nil
}

func (c *compiler) parts(path string, in *rawDoc, b buffer, k *cut) (bits uint, err error) {
	for i, p := range in.Parts {
		at := config.Index(config.Join(path, "parts"), i)
		switch {
		case len(p) != 3 || p[1] > 7 || p[2] > p[1]:
			return 0, c.doc.Errorf(at, "want [byte, highest bit, lowest bit], bits 7 to 0")
		case p[0] >= b.n:
			return 0, c.doc.Errorf(at, "byte %d lies behind the %d that are read", p[0], b.n)
		}
		k.parts = append(k.parts, part{b.at + p[0], uint(p[1]), uint(p[2])})
		bits += uint(p[1] - p[2] + 1)
	}
	if bits == 0 || bits > 32 {
		return 0, c.doc.Errorf(config.Join(path, "parts"), "want 1 to 32 bits, got %d", bits)
	}
	return bits, nil
}
