package mission

import "github.com/atrium-iot/atrium/shared/actor"

// state is what a device or a twin keeps of its last reading.
type state struct {
	value   float64
	at      int64
	version uint64
}

// apply takes a reading unless it is older than what is there.
func (s *state) apply(r reading) {
	if r.at < s.at {
		return
	}
	s.value, s.at = r.value, r.at
	s.version++
}

// device takes its state from readings, and passes them on to its twin if it
// has one.
type device struct {
	state state
	twin  actor.Ref[reading]
	end   func(reading)
}

func (d *device) Receive(ctx *actor.ContextOf[reading]) {
	r := ctx.Message()
	d.state.apply(r)
	if d.end != nil {
		d.end(r)
		return
	}
	must(actor.Send(ctx, d.twin, r))
}

// updates: a sensor's reading to its device.
func updates(s *site, most int, end func() func(reading)) course {
	c := course{ends: min(devices, most)}
	for range c.ends {
		c.heads = append(c.heads, spawn(s, &device{end: end()}))
	}
	return c
}

// twins: a reading to its device, and from there to the twin.
func twins(s *site, most int, end func() func(reading)) course {
	c := course{ends: min(devices, most)}
	for range c.ends {
		twin := spawn(s, &device{end: end()})
		c.heads = append(c.heads, spawn(s, &device{twin: twin}))
	}
	return c
}

// room sends on to its members.
type room struct{ members []actor.Ref[reading] }

func (r *room) Receive(ctx *actor.ContextOf[reading]) {
	m := ctx.Message()
	for _, to := range r.members {
		must(actor.Send(ctx, to, m))
	}
}

// broadcasts: one message to a room, and to each of its devices.
func broadcasts(s *site, most int, end func() func(reading)) course {
	var c course
	for range min(rooms, most) {
		r := &room{}
		for range members {
			r.members = append(r.members, spawn(s, &device{end: end()}))
		}
		c.ends += members
		c.heads = append(c.heads, spawn(s, r))
	}
	return c
}

// stage works on a reading and sends it on.
type stage struct {
	work func(reading) reading
	next actor.Ref[reading]
}

func (s *stage) Receive(ctx *actor.ContextOf[reading]) {
	must(actor.Send(ctx, s.next, s.work(ctx.Message())))
}

// window keeps the least, the largest and the mean of the readings.
type window struct {
	n              int
	min, max, mean float64
	end            func(reading)
}

func (w *window) Receive(ctx *actor.ContextOf[reading]) {
	r := ctx.Message()
	w.n++
	w.min, w.max = min(w.min, r.value), max(w.max, r.value)
	w.mean += (r.value - w.mean) / float64(w.n)
	w.end(r)
}

// processing: a reading through a calibration and a limit into a window.
func processing(s *site, most int, end func() func(reading)) course {
	const gain, offset, limit = 1.02, -0.4, 85
	calibrate := func(r reading) reading { r.value = r.value*gain + offset; return r }
	clamp := func(r reading) reading { r.value = min(r.value, limit); return r }
	c := course{ends: min(pipelines, most)}
	for range c.ends {
		to := spawn(s, &window{end: end()})
		for _, work := range []func(reading) reading{clamp, calibrate} {
			to = spawn(s, &stage{work: work, next: to})
		}
		c.heads = append(c.heads, to)
	}
	return c
}
