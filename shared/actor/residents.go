package actor

import (
	"math/rand/v2"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

const (
	// maxLeaving is how many actors of a type are about to leave at once: their
	// snapshots wait in memory for the store.
	maxLeaving = 256
	// lookAgain is how long a type that has too many actors in memory waits when
	// none of those that were asked could leave.
	lookAgain = 100 * time.Millisecond
)

// arrive enters an actor among those in memory, and lets others leave.
func (v *virtual[M]) arrive(s *stay[M]) {
	v.mu.Lock()
	s.place.Owner = s
	v.residents.Add(&s.place, v.kind.system.now())
	v.complains[failedRestore] = false
	v.mu.Unlock()
	v.sweep()
}

// take lets an actor leave that has handled its number of messages: now, or as
// soon as others have left and the store works.
func (v *virtual[M]) take(s *stay[M]) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.takeLocked(s) {
		return true
	}
	v.laterLocked(s)
	return false
}

// later lets an actor be asked again that could not leave.
func (v *virtual[M]) later(s *stay[M]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.laterLocked(s)
}

func (v *virtual[M]) laterLocked(s *stay[M]) {
	if s.leaving {
		return // then keep says so
	}
	v.listLocked(s)
	now := v.kind.system.now()
	v.planLocked(now, now+int64(lookAgain))
}

func (v *virtual[M]) listLocked(s *stay[M]) {
	if !s.listed {
		s.listed = true
		v.spent = append(v.spent, s)
	}
}

func (v *virtual[M]) takeLocked(s *stay[M]) bool {
	if s.leaving || v.leaving >= maxLeaving || v.kind.system.now() < v.paused {
		return false
	}
	v.residents.Remove(&s.place)
	s.leaving = true
	v.leaving++
	return true
}

// keep is told of an actor that was to leave and stays, and whether it is to be
// asked again soon.
func (v *virtual[M]) keep(s *stay[M], again bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !s.leaving {
		return
	}
	s.leaving = false
	v.leaving--
	now := v.kind.system.now()
	v.residents.Add(&s.place, now)
	if again {
		v.listLocked(s)
	}
	v.planLocked(now, now+int64(lookAgain))
}

// gone is told of an actor that has left memory or has ended.
func (v *virtual[M]) gone(s *stay[M]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.leaving {
		s.leaving = false
		v.leaving--
	}
	v.residents.Remove(&s.place)
	now := v.kind.system.now()
	v.planLocked(now, now)
}

// sweep asks those to leave whose time has come.
func (v *virtual[M]) sweep() {
	var due []*stay[M]
	v.mu.Lock()
	now := v.kind.system.now()
	if v.alarmAt <= now {
		v.alarm = nil
	}
	for s := v.dueLocked(now); s != nil && v.takeLocked(s); s = v.dueLocked(now) {
		due = append(due, s)
	}
	v.planLocked(now, now+int64(lookAgain))
	v.mu.Unlock()
	for _, s := range due {
		s.cell.post(func() { s.cell.passivate(s) }) // one that has ended is gone
	}
}

// dueLocked returns who must leave next: one that has handled its number, or
// the one least recently used; nil is nobody.
func (v *virtual[M]) dueLocked(now int64) *stay[M] {
	for len(v.spent) > 0 {
		s := v.spent[0]
		if !s.leaving && !s.over.Load() {
			return s
		}
		s.listed = false
		v.spent[0] = nil
		v.spent = v.spent[1:]
	}
	v.spent = nil
	oldest := v.residents.Oldest()
	if oldest == nil || !v.tooManyLocked() && (v.rules.Idle == 0 || now-oldest.Used() < int64(v.rules.Idle)) {
		return nil
	}
	return oldest.Owner
}

func (v *virtual[M]) tooManyLocked() bool {
	return v.rules.Limit > 0 && v.residents.Len() > v.rules.Limit
}

// planLocked sets the alarm of the next sweep: when the first one may have been
// idle for long enough, or at again when some are to leave whatever their use.
func (v *virtual[M]) planLocked(now, again int64) {
	at := int64(-1)
	if v.rules.Idle > 0 && v.residents.Len() > 0 {
		at = v.residents.Next() + int64(v.rules.Idle)
	}
	if (v.tooManyLocked() || len(v.spent) > 0) && (at < 0 || again < at) {
		at = again
	}
	if at < 0 || v.leaving >= maxLeaving {
		return // the next one that leaves, or stays, plans anew
	}
	at = max(at, v.paused)
	if v.alarm != nil {
		if v.alarmAt <= at {
			return
		}
		v.alarm.Stop()
	}
	v.alarmAt = at
	v.alarm = v.kind.system.clock.After(time.Duration(at-now), v.sweep)
}

// failed counts a failure, and logs the first of a row. After a failed save
// nobody leaves for a while; those that fail in that while began before it.
func (v *virtual[M]) failed(step failure, id string, err error) {
	v.counts.failures[step].Add(1)
	v.mu.Lock()
	first := !v.complains[step]
	v.complains[step] = true
	if now := v.kind.system.now(); step == failedSave && now >= v.paused {
		d := v.failures.Step(now, &storeRetry, supervise.Failure{Type: v.name, ID: id, Reason: err}, rand.Float64)
		v.paused = now + int64(d.Delay)
	}
	v.mu.Unlock()
	if first {
		v.kind.system.log.Error("actor: state is not kept or not found", "step", step.String(), "id", id, "error", err)
	}
}

// worked notes that a step has gone well. A disk that is full is read all the
// same: only a save ends the rest that follows a failed one.
func (v *virtual[M]) worked(step failure) {
	v.mu.Lock()
	v.complains[step] = false
	if step == failedSave {
		v.complains[failedSnapshot] = false
		v.paused, v.failures = 0, supervise.Record{}
	}
	v.mu.Unlock()
}
