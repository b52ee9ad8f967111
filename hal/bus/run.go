package bus

import (
	"slices"
	"time"
)

// worker runs one step at a time. It alone touches the bus.
func (o *Owner[B]) worker() {
	for t := range o.work {
		var r result
		began := time.Now()
		r.wait, r.done, r.err = t.Step(o.bus)
		o.m.busy.Add(time.Since(began).Seconds())
		o.m.transactions.Inc()
		o.results <- r
	}
}

// run is the owner's goroutine. It ends when the bus is closed and nothing is
// in flight.
func (o *Owner[B]) run() {
	defer close(o.finished)
	defer close(o.work)
	deadline := time.NewTimer(0)
	defer deadline.Stop()
	for {
		if o.isClosed() {
			o.endAll(ErrClosed, func(j *job[B]) bool { return !j.started })
		}
		j, wait, any := o.next(time.Now())
		switch {
		case j != nil:
			o.step(j, deadline)
		case any:
			deadline.Reset(wait)
			select {
			case <-o.wake:
			case <-deadline.C:
			}
		case o.isClosed():
			return
		default:
			<-o.wake
		}
	}
}

func (o *Owner[B]) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// next picks the job whose turn it is: the begun one that is due longest, for
// its device has done its part, else the first that may begin. Without one it
// says how long until the next is due, and whether there is any. The list is
// short and bounded, so it is searched.
func (o *Owner[B]) next(now time.Time) (pick *job[B], wait time.Duration, any bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first *job[B]
	for _, j := range o.jobs {
		if j.started && (first == nil || j.due.Before(first.due)) {
			first = j
		}
	}
	if first != nil && !first.due.After(now) {
		return first, 0, true
	}
	for _, j := range o.jobs {
		if !j.started && !o.begunLocked(j.addr) {
			j.started = true
			return j, 0, true
		}
	}
	if first == nil {
		return nil, 0, false
	}
	return nil, first.due.Sub(now), true
}

// begunLocked says whether a task of the address is between its steps.
func (o *Owner[B]) begunLocked(addr Address) bool {
	return slices.ContainsFunc(o.jobs, func(j *job[B]) bool { return j.started && j.addr == addr })
}

func (o *Owner[B]) step(j *job[B], deadline *time.Timer) {
	o.work <- j.task
	deadline.Reset(o.cfg.Deadline)
	var r result
	select {
	case r = <-o.results:
	case <-deadline.C:
		select {
		case r = <-o.results: // both came while the process stood still: no stall
		default:
			o.stall(j)
			return
		}
	}
	if r.err == nil && !r.done {
		j.due = time.Now().Add(max(r.wait, 0))
		return
	}
	o.release(j.addr)
	o.end(j, r.err)
}

// stall gives up on the job, and on all others until the kernel returns.
func (o *Owner[B]) stall(j *job[B]) {
	began := time.Now()
	j.task.Abandon()
	o.mu.Lock()
	o.stuck = true
	o.mu.Unlock()
	o.m.stalls.Inc()
	o.log.Warn("device stalls the bus", "address", j.addr, "deadline", o.cfg.Deadline)
	o.end(j, ErrStalled)
	o.endAll(ErrQuarantined, func(*job[B]) bool { return true })

	<-o.results // of a task that has ended: nobody waits for it
	now := time.Now()
	o.mu.Lock()
	o.stuck = false
	q := o.quarantines[j.addr]
	if q == nil {
		q = &quarantine{}
		o.quarantines[j.addr] = q
	}
	d := q.extend(now, o.cfg.MinQuarantine, o.cfg.MaxQuarantine)
	o.mu.Unlock()
	o.log.Warn("bus works again, the device is in quarantine", "address", j.addr, "stuck", now.Sub(began)+o.cfg.Deadline, "quarantine", d)
}

// release ends a device's quarantine: its probe came back in time.
func (o *Owner[B]) release(addr Address) {
	o.mu.Lock()
	_, was := o.quarantines[addr]
	delete(o.quarantines, addr)
	o.mu.Unlock()
	if was {
		o.log.Info("device has left its quarantine", "address", addr)
	}
}

// end forgets the job and tells its submitter.
func (o *Owner[B]) end(j *job[B], err error) {
	o.mu.Lock()
	o.jobs = slices.DeleteFunc(o.jobs, func(k *job[B]) bool { return k == j })
	o.mu.Unlock()
	if err != nil {
		o.m.errors[Kind(err)].Inc()
		err = o.wrap(j.addr, err)
	}
	j.done(err)
}

func (o *Owner[B]) endAll(err error, which func(*job[B]) bool) {
	o.mu.Lock()
	all := slices.Clone(o.jobs)
	o.mu.Unlock()
	for _, j := range all {
		if which(j) {
			o.probeEnded(j.addr)
			o.end(j, err)
		}
	}
}

// probeEnded lets another task be the probe when this one never reached the
// device.
func (o *Owner[B]) probeEnded(addr Address) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.quarantines[addr]; q != nil {
		q.probing = false
	}
}

// quarantine is the state of a device that stalled the bus.
type quarantine struct {
	stalls  int
	until   time.Time
	probing bool // one task is accepted to see whether the device is well
}

func (q *quarantine) refuses(now time.Time) bool {
	return q != nil && (q.probing || now.Before(q.until))
}

// extend begins the next, longer, term.
func (q *quarantine) extend(now time.Time, shortest, longest time.Duration) time.Duration {
	d := shortest
	for range q.stalls {
		if d *= 2; d >= longest {
			break
		}
	}
	d = min(d, longest)
	q.stalls++
	q.until, q.probing = now.Add(d), false
	return d
}
