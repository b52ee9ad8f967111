package pipeline

import "github.com/atrium-iot/atrium/shared/id"

// windowNames are the slots that a window fills, in order; the first is its
// value.
var windowNames = []string{"mean", "min", "max", "count", "first", "last"}

// Partial is what some rows of a window say together. The zero value holds
// none. Partials of disjoint rows merge to that of all of them, in any order:
// all is exact but Sum, which rounds as floating point does.
type Partial struct {
	_               struct{} `cbor:",toarray"`
	Count           uint64
	Sum, Min, Max   float64
	First, Last     float64
	FirstAt, LastAt int64 // UTC in microseconds
}

// Add takes one row in.
func (p *Partial) Add(at int64, v float64) {
	p.Merge(Partial{Count: 1, Sum: v, Min: v, Max: v, First: v, Last: v, FirstAt: at, LastAt: at})
}

// Merge takes other rows in. Of rows of the same instant the lowest is the
// first and the highest the last, so that no order of arrival decides.
func (p *Partial) Merge(q Partial) {
	switch {
	case q.Count == 0:
		return
	case p.Count == 0:
		*p = q
		return
	}
	p.Count += q.Count
	p.Sum += q.Sum
	p.Min, p.Max = min(p.Min, q.Min), max(p.Max, q.Max)
	if q.FirstAt < p.FirstAt {
		p.First, p.FirstAt = q.First, q.FirstAt
	} else if q.FirstAt == p.FirstAt {
		p.First = min(p.First, q.First)
	}
	if q.LastAt > p.LastAt {
		p.Last, p.LastAt = q.Last, q.LastAt
	} else if q.LastAt == p.LastAt {
		p.Last = max(p.Last, q.Last)
	}
}

// Mean returns the mean of the rows, each counting the same, or 0 of none.
func (p *Partial) Mean() float64 {
	if p.Count == 0 {
		return 0
	}
	return p.Sum / float64(p.Count)
}

// Window is a part of a window's result; a reader merges the parts of one
// (Stage, Start). Its key among the device's results is (Stage, Start, Run,
// Seq), and each key is given once.
type Window struct {
	Stage      int
	Start, End int64  // UTC in microseconds; End is the next one's Start
	Run        id.Run // the frame of a late part; zero of the main part
	Seq        uint64
	Partial
}

// take gives a row to the window stage i: the open window grows, a later one
// closes it, and a row of a closed one makes a late part of its frame.
func (t *turn) take(i int, at int64, v float64) {
	w, st := &t.state.Window, &t.p.stages[i]
	start := at - at%st.every
	if start < w.From {
		t.out.Counts.Late++
		t.late(i, start, at, v)
		return
	}
	if start > w.From {
		t.close(i)
		w.From = start
	}
	w.Open.Add(at, v)
}

// late adds a row to its frame's part of a closed window. Rows come in order
// of time: the late ones first, those of one window next to each other.
func (t *turn) late(i int, start, at int64, v float64) {
	if n := len(t.out.Windows); n > 0 {
		if last := &t.out.Windows[n-1]; last.Start == start {
			last.Add(at, v)
			return
		}
	}
	part := Window{Stage: i, Start: start, End: start + t.p.stages[i].every, Run: t.run, Seq: t.seq}
	part.Add(at, v)
	t.out.Windows = append(t.out.Windows, part)
}

// close gives out the open window, if there is one, to the reader and to the
// stages behind it. It is then closed for good.
func (t *turn) close(i int) {
	w, every := &t.state.Window, t.p.stages[i].every
	if w.Open.Count == 0 {
		return
	}
	main := Window{Stage: i, Start: w.From, End: w.From + every, Partial: w.Open}
	w.From, w.Open = main.End, Partial{}
	t.out.Counts.Windows++
	t.out.Windows = append(t.out.Windows, main)
	slots := [maxSlots]float64{main.Mean(), main.Min, main.Max, float64(main.Count), main.First, main.Last}
	t.flow(i+1, main.End, &slots)
}
