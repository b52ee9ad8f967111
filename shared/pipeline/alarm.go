package pipeline

import "fmt"

// AlarmState is where an alarm stands for one device.
type AlarmState uint8

// An alarm begins Inactive. It is Pending while the threshold is passed but
// not yet for as long as the rule wants.
const (
	Inactive AlarmState = 0
	Pending  AlarmState = 1
	Active   AlarmState = 2
)

func (s AlarmState) String() string {
	switch s {
	case Inactive:
		return "inactive"
	case Pending:
		return "pending"
	case Active:
		return "active"
	default:
		return fmt.Sprintf("AlarmState(%d)", uint8(s))
	}
}

// rule is a compiled alarm.
type rule struct {
	below            bool
	threshold, clear float64
	hold             int64 // microseconds of event time
	severity, text   string
}

// passed says whether a value is beyond the threshold.
func (r *rule) passed(v float64) bool {
	if r.below {
		return v < r.threshold
	}
	return v > r.threshold
}

// over says whether a value ends an active alarm.
func (r *rule) over(v float64) bool {
	if r.below {
		return v >= r.clear
	}
	return v <= r.clear
}

// Latch is what an alarm stage remembers of one device. Times are UTC in
// microseconds, of the rows that the stage saw.
type Latch struct {
	_         struct{} `cbor:",toarray"`
	State     AlarmState
	SeenAt    int64   // the newest row
	Value     float64 // of that row
	Since     int64   // first of the rows in sequence that pass the threshold; 0 if the newest does not and the alarm is not active
	RaisedAt  int64   // when it last became active
	ClearedAt int64   // when it ended since; 0 while active
	Raised    uint64
}

// Transition is an alarm that was raised (Active) or ended (Inactive).
// Pending is a matter of the stage alone.
type Transition struct {
	Stage          int
	State          AlarmState
	At             int64 // UTC in microseconds: of the row, the end of the window, or when End was asked for
	Value          float64
	Threshold      float64 // the one that was passed: of an alarm's end, where it clears
	Severity, Text string
}

// see takes a row to the alarm stage i. Rows older than the newest it saw say
// nothing about now: they neither raise nor clear.
func (t *turn) see(i int, at int64, v float64) {
	st := &t.p.stages[i]
	l, r := &t.state.Alarms[st.latch], &st.rule
	if at < l.SeenAt {
		t.out.Overtaken++
		return
	}
	l.SeenAt, l.Value = at, v
	if l.State == Active {
		if r.over(v) {
			l.State, l.Since, l.ClearedAt = Inactive, 0, at
			t.report(i, at, v, r.clear)
		}
		return
	}
	if !r.passed(v) {
		l.State, l.Since = Inactive, 0
		return
	}
	if l.State == Inactive {
		l.State, l.Since = Pending, at
	}
	if at-l.Since >= r.hold {
		l.State, l.RaisedAt, l.ClearedAt = Active, at, 0
		l.Raised++
		t.out.Counts.Raised++
		t.report(i, at, v, r.threshold)
	}
}

// end makes the alarm stage i as new, and reports the end of an active alarm.
func (t *turn) end(i int, now int64) {
	st := &t.p.stages[i]
	l := &t.state.Alarms[st.latch]
	active, value := l.State == Active, l.Value
	*l = Latch{}
	if active {
		t.report(i, now, value, st.rule.clear)
	}
}

func (t *turn) report(i int, at int64, v, threshold float64) {
	st := &t.p.stages[i]
	t.out.Alarms = append(t.out.Alarms, Transition{
		Stage: i, State: t.state.Alarms[st.latch].State, At: at, Value: v, Threshold: threshold,
		Severity: st.rule.severity, Text: st.rule.text,
	})
}

// Alarm is an alarm stage for one device, to be shown.
type Alarm struct {
	Stage          int
	Severity, Text string
	Threshold      float64 // that raises it
	Latch
}

// Alarms returns the alarm stages as they stand, in order.
func (p *Pipeline) Alarms(s *State) []Alarm {
	var all []Alarm
	for i := range p.stages {
		st := &p.stages[i]
		if st.kind != alarm {
			continue
		}
		a := Alarm{Stage: i, Severity: st.rule.severity, Text: st.rule.text, Threshold: st.rule.threshold}
		if st.latch < len(s.Alarms) {
			a.Latch = s.Alarms[st.latch]
		}
		all = append(all, a)
	}
	return all
}
