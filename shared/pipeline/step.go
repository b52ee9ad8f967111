package pipeline

import (
	"cmp"
	"math"
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
)

// turn is one Step or Tick under way.
type turn struct {
	p     *Pipeline
	state *State
	run   id.Run
	seq   uint64
	out   *Output
}

// Step takes the rows of a device in one frame, named by run and seq, in any
// order. All its rows of a device come in one call: a late part is keyed by
// the frame. now is the site's time in Unix microseconds, which never falls.
// Step may reorder rows and change their times, and keeps nothing of them.
func (p *Pipeline) Step(now int64, s *State, run id.Run, seq uint64, rows []Row, out *Output) {
	t := turn{p, s, run, seq, out}
	t.begin()
	out.Counts.Rows = uint64(len(rows))
	for i := range rows {
		if rows[i].At > now+futureTolerance.Microseconds() {
			rows[i].At = now
			out.Counts.Suspect++
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.At, b.At) })
	oldest := max(now-lateness.Microseconds(), 1) // 0 is no time here
	for _, r := range rows {
		if r.At < oldest {
			out.Counts.TooLate++
			continue
		}
		var slots [maxSlots]float64
		copy(slots[:], r.V)
		if !slices.ContainsFunc(r.V, absent) {
			t.flow(0, r.At, &slots)
		} else {
			out.Counts.Bad++
		}
	}
}

// Tick closes a window whose time is over. now is as in Step.
func (p *Pipeline) Tick(now int64, s *State, out *Output) {
	t := turn{p: p, state: s, out: out}
	t.begin()
	if due := p.Due(s); due != 0 && now >= due {
		t.close(p.window)
	}
}

// End is for a device that the pipeline reads no more: its open window is given
// out, and active alarms end, since nobody would see them clear. The state still
// knows which windows were given out, so that it serves if the device comes
// back. now is as in Step.
func (p *Pipeline) End(now int64, s *State, out *Output) {
	t := turn{p: p, state: s, out: out}
	t.begin()
	if p.window >= 0 {
		t.close(p.window)
	}
	for i := range p.stages {
		if st := &p.stages[i]; st.kind == alarm {
			t.end(i, now)
		}
	}
}

// Due returns when a Tick would do something, in Unix microseconds, or 0 if it
// would not.
func (p *Pipeline) Due(s *State) int64 {
	if p.window < 0 || s.Window.Open.Count == 0 {
		return 0
	}
	return s.Window.From + p.stages[p.window].every + grace.Microseconds()
}

func (t *turn) begin() {
	*t.out = Output{Windows: t.out.Windows[:0], Alarms: t.out.Alarms[:0]}
	if len(t.state.Alarms) != t.p.alarms {
		t.state.Alarms = make([]Latch, t.p.alarms)
	}
}

// flow takes one row through the stages from i on, to the window or the end.
func (t *turn) flow(i int, at int64, slots *[maxSlots]float64) {
	for ; i < len(t.p.stages); i++ {
		st := &t.p.stages[i]
		if i == t.p.first && at >= t.state.SeenAt {
			t.state.SeenAt, t.state.Value = at, slots[st.slot]
		}
		switch st.kind {
		case filter:
			if pass := st.program.Run(slots[:]); absent(pass) {
				t.out.Counts.Bad++
				return
			} else if pass == 0 {
				t.out.Counts.Filtered++
				return
			}
		case derive:
			if slots[st.slot] = st.program.Run(slots[:]); absent(slots[st.slot]) {
				t.out.Counts.Bad++
				return
			}
		case alarm:
			t.see(i, at, slots[st.slot])
		case window:
			t.take(i, at, slots[st.slot])
			return
		}
	}
}

// absent says that there is no value, or none to calculate with.
func absent(v float64) bool { return !(math.Abs(v) <= maxMagnitude) }
