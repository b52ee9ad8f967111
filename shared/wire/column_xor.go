package wire

import "math/bits"

// codecXOR is the float codec of Gorilla (Pelkonen et al., VLDB 2015, 4.1.2):
// the XOR of a value with the one before, of which only a window of bits is
// written. Our window may be 64 bits wide, which a length less one makes room
// for, and it is replaced where keeping it costs more than a new one.

const (
	xorMaxLead  = 31   // leading zeros have five bits
	xorLeadBits = 5    // of a new window's head
	xorSizeBits = 6    // the window's width less one
	xorHead     = 2    // bits before a value that is not its neighbour's
	xorNew      = 0b11 // a new window follows
	xorKept     = 0b10 // the window is as before
	xorDearer   = 16   // bits a value: what makes an integer plan dear enough to look here
	xorNewHead  = xorHead + xorLeadBits + xorSizeBits
)

// xorWindow is the bits that are written of each XOR: size of them, from low
// on. The zero value holds none.
type xorWindow struct{ low, size uint }

// hold makes the window hold x, which is not 0, and says whether it is the
// window of before.
func (w *xorWindow) hold(x uint64) (kept bool) {
	lead, low := uint(min(bits.LeadingZeros64(x), xorMaxLead)), uint(bits.TrailingZeros64(x))
	size := 64 - lead - low
	if w.size > 0 && w.low <= low && w.low+w.size >= low+size && w.size <= size+xorNewHead-xorHead {
		return true
	}
	*w = xorWindow{low, size}
	return false
}

// xorCost is the bits that appendXOR writes.
func xorCost[T integer](v []T) (cost int) {
	var w xorWindow
	for i, next := range v[1:] {
		x := uint64(v[i]) ^ uint64(next)
		switch {
		case x == 0:
			cost++
		case w.hold(x):
			cost += xorHead + int(w.size)
		default:
			cost += xorNewHead + int(w.size)
		}
	}
	return cost
}

func appendXOR[T integer](dst []byte, v []T) []byte {
	out := bitWriter{b: dst}
	var w xorWindow
	for i, next := range v[1:] {
		x := uint64(v[i]) ^ uint64(next)
		switch {
		case x == 0:
			out.put(0, 1)
			continue
		case w.hold(x):
			out.put(xorKept, xorHead)
		default:
			lead := 64 - w.low - w.size
			out.put(xorNew<<(xorLeadBits+xorSizeBits)|uint64(lead<<xorSizeBits|(w.size-1)), xorNewHead)
		}
		x >>= w.low
		if w.size > 32 {
			out.put(x>>32, w.size-32)
		}
		out.put(x&0xffffffff, min(w.size, 32))
	}
	return out.finish()
}

// parseXOR reads the rows after out[0], which is set.
func parseXOR[T integer](c *cursor, at string, out []T) {
	used, ok := readXOR(c.b[c.off:], out)
	if !ok {
		c.fail(RejectMalformed, at, "has %d bytes, too few or not as XORs are written", len(c.b)-c.off)
		return
	}
	c.off += used
}

// readXOR fails where b ends early, a window is kept that never was, or has
// more than 64 bits, or the last byte is not filled with zeros.
func readXOR[T integer](b []byte, out []T) (used int, ok bool) {
	r := bitReader{b: b}
	var w xorWindow
	x := uint64(out[0])
	for i := range out[1:] {
		changed, ok := r.take(1)
		if !ok {
			return 0, false
		}
		if changed == 1 {
			if ok = w.read(&r); !ok {
				return 0, false
			}
			high, okHigh := r.take(w.size - min(w.size, 32))
			low, okLow := r.take(min(w.size, 32))
			if !okHigh || !okLow {
				return 0, false
			}
			x ^= (high<<32 | low) << w.low
		}
		out[1+i] = T(x)
	}
	return r.close()
}

// read takes what follows the first bit of a value that changed.
func (w *xorWindow) read(r *bitReader) bool {
	renewed, ok := r.take(xorHead - 1)
	if !ok || renewed == 0 {
		return ok && w.size > 0
	}
	head, ok := r.take(xorLeadBits + xorSizeBits)
	lead, size := uint(head)>>xorSizeBits, uint(head)&(1<<xorSizeBits-1)+1
	if !ok || lead+size > 64 {
		return false
	}
	*w = xorWindow{64 - lead - size, size}
	return true
}
