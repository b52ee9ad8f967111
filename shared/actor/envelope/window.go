package envelope

// words is the size of a Window's bitmap. With 64 requests a word it covers
// more than the callers that may at one moment hold a number and not have sent
// their request.
const words = 256

// Reach is how far below the highest number a request may still be new.
const Reach = (words - 1) * 64

// Window knows which requests of one line have come: the anti-replay window of
// RFC 6479, whose bitmap is a ring of words. The zero Window has seen none.
type Window struct {
	top     uint64 // the highest number seen
	settled uint64 // requests of mode Tell up to here are over
	ring    [words]uint64
}

// Admit reports whether the request is new, and notes it. One of mode Tell is
// not when a younger one came before it, or its sender has given it up; nor is
// one that lies Reach or more below the highest number, since it can't be known.
func (w *Window) Admit(r *Request) bool {
	seq := r.Seq
	if seq == 0 || seq <= w.top && w.top-seq >= Reach || r.Mode == Tell && seq <= w.settled {
		return false
	}
	block := seq / 64
	if top := w.top / 64; block > top {
		for skipped := min(block-top, words); skipped > 0; skipped-- {
			w.ring[(block-skipped+1)%words] = 0
		}
	}
	bit := uint64(1) << (seq % 64)
	if w.ring[block%words]&bit != 0 {
		return false
	}
	w.ring[block%words] |= bit
	w.top = max(w.top, seq)
	w.settled = max(w.settled, r.Settled)
	if r.Mode == Tell {
		w.settled = max(w.settled, seq)
	}
	return true
}
