package actor

import "time"

// watch starts the guard when the last worker is woken. The guard looks for
// turns that do not end; it goes away when a worker is parked again.
func (p *pool) watch() {
	if p.guards.CompareAndSwap(false, true) {
		p.start(p.guard)
	}
}

func (p *pool) guard() {
	defer p.ended.Done()
	seen := make([]sight, len(p.slots))
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for !p.halted.Load() {
		select {
		case <-p.quit:
			return
		case <-timer.C:
		}
		timer.Reset(patience)
		for i := range seen {
			if p.parked.Load() == 0 {
				p.look(i, &seen[i])
			}
		}
		if p.parked.Load() == 0 {
			continue
		}
		p.guards.Store(false)
		if p.parked.Load() != 0 || p.halted.Load() || !p.guards.CompareAndSwap(false, true) {
			return
		}
	}
}

// sight is what the guard saw of a slot the last time.
type sight struct {
	holder *worker
	turns  uint32
}

// look gives slot i to another worker when its holder is in the same turn as at
// the last look, a patience ago.
func (p *pool) look(i int, last *sight) {
	now := sight{holder: p.slots[i].holder.Load()}
	now.turns = now.holder.turns.Load()
	stuck := now == *last && now.turns&1 == 1
	*last = now
	if !stuck || !now.holder.turns.CompareAndSwap(now.turns, now.turns|lost) {
		return
	}
	p.settle(i)
	if p.work(p.ready.Load()) {
		p.wake()
	}
	d := now.holder.serving.Load()
	d.stalls.Add(1)
	p.stalled(d)
}
