package site

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

const (
	partPrefix = "rows."
	agedPrefix = "aged."
)

// span is the messages whose rows a part holds: after one, up to another.
type span struct {
	after, to uint64
	size      uint64    // of the object
	at        time.Time // when it was put
}

func (s span) name() string { return fmt.Sprintf("%s%d.%d", partPrefix, s.after, s.to) }

// partSpan returns what a part's name says.
func partSpan(o journal.Object) (span, bool) {
	from, to, ok := strings.Cut(strings.TrimPrefix(o.Name, partPrefix), ".")
	a, errA := strconv.ParseUint(from, 10, 64)
	b, errB := strconv.ParseUint(to, 10, 64)
	s := span{a, b, o.Size, o.Time}
	return s, ok && errA == nil && errB == nil && a < b && s.name() == o.Name
}

func agedName(seq uint64) string { return agedPrefix + strconv.FormatUint(seq, 10) }

// agedSeq returns up to which message the parts have aged away, as the object
// of that name says.
func agedSeq(name string) (uint64, bool) {
	seq, err := strconv.ParseUint(strings.TrimPrefix(name, agedPrefix), 10, 64)
	return seq, err == nil && agedName(seq) == name
}

// holding is what a bucket of parts holds. Parts may overlap, as each owner
// begins to cut at the manifest that it began with: what two have of a message
// is the same (I7).
type holding struct {
	parts []span // by begin
	aged  uint64 // what lies at or below it has aged away: nobody misses it
}

// holdingOf reads a list of the bucket. Parts beyond a message are left out:
// the shard's log does not know them.
func holdingOf(all []journal.Object, upTo uint64) holding {
	var h holding
	for _, o := range all {
		if s, ok := partSpan(o); ok && s.to <= upTo {
			h.parts = append(h.parts, s)
		}
		if seq, ok := agedSeq(o.Name); ok {
			h.aged = max(h.aged, seq)
		}
	}
	slices.SortFunc(h.parts, func(a, b span) int { return cmp.Or(cmp.Compare(a.after, b.after), cmp.Compare(a.to, b.to)) })
	return h
}

// over returns the part that has the message after at, and of several the one
// that goes on longest.
func (h holding) over(at uint64) (best span, ok bool) {
	for _, s := range h.parts {
		if s.after > at {
			break
		}
		if s.to > at && s.to > best.to {
			best, ok = s, true
		}
	}
	return best, ok
}

// behind returns where the first part begins that begins behind at.
func (h holding) behind(at uint64) (begin uint64, ok bool) {
	for _, s := range h.parts {
		if s.after > at {
			return s.after, true
		}
	}
	return 0, false
}

// cover reports whether nothing is missing after one message up to another.
func (h holding) cover(after, to uint64) bool {
	for at := max(after, h.aged); at < to; {
		s, ok := h.over(at)
		if !ok {
			return false
		}
		at = s.to
	}
	return true
}

// end returns where the last part ends.
func (h holding) end() (end uint64) {
	for _, s := range h.parts {
		end = max(end, s.to)
	}
	return end
}

// without forgets a part.
func (h *holding) without(s span) {
	h.parts = slices.DeleteFunc(slices.Clone(h.parts), func(o span) bool { return o.after == s.after && o.to == s.to })
}
