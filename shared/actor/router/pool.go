package router

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/atrium-iot/atrium/shared/actor"
)

// MaxSize bounds a pool: its routees are copied at each change, and a Broadcast
// goes through them one by one.
const MaxSize = 4096

// Pool is a number of equal actors, named "name/0", "name/1" and so on, behind
// a router. It is safe for concurrent use.
type Pool[M any] struct {
	engine *actor.Engine
	props  *actor.PropsTyped[M]
	name   string
	router *Router[M]

	mu      sync.Mutex
	routees map[int]actor.Ref[M] // by their number
	leaving map[int]actor.Ref[M] // told to stop; some have ended
	stopped bool
}

// NewPool spawns size actors, 1 to MaxSize, and routes over them as route says:
// RoundRobin[M], or any function that makes a Router. After an error those that
// were spawned stop. Stop ends the pool.
func NewPool[M any](e *actor.Engine, props *actor.PropsTyped[M], name string, size int, route func(...actor.Ref[M]) *Router[M]) (*Pool[M], error) {
	p := &Pool[M]{
		engine: e, props: props, name: name, router: route(),
		routees: make(map[int]actor.Ref[M]),
		leaving: make(map[int]actor.Ref[M]),
	}
	if err := p.Resize(size); err != nil {
		return nil, err
	}
	return p, nil
}

// Router is the way to the pool's routees.
func (p *Pool[M]) Router() *Router[M] { return p.router }

// Resize makes the pool have size routees, 1 to MaxSize. Those that have
// stopped by themselves are replaced. Those too many, the highest numbers, get
// nothing more, handle what they accepted, and stop. After an error the pool
// has the routees that it had. After Stop it is actor.ErrStopped.
func (p *Pool[M]) Resize(size int) error {
	if size < 1 || size > MaxSize {
		return fmt.Errorf("router: pool %q: want a size of 1 to %d, got %d", p.name, MaxSize, size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return fmt.Errorf("router: pool %q: %w", p.name, actor.ErrStopped)
	}
	p.forgetEndedLocked()
	if err := p.growLocked(size); err != nil {
		return fmt.Errorf("router: pool %q: %w", p.name, err)
	}
	numbers := slices.Sorted(maps.Keys(p.routees))
	p.dismissLocked(numbers[size:])
	return nil
}

// growLocked spawns under the lowest free numbers.
func (p *Pool[M]) growLocked(size int) error {
	var spawned []actor.Ref[M]
	var numbers []int
	for n := 0; len(p.routees)+len(spawned) < size; n++ {
		if p.takenLocked(n) {
			continue
		}
		ref, err := actor.Spawn(p.engine, p.props, p.name+"/"+strconv.Itoa(n))
		if err != nil {
			for i, ref := range spawned {
				p.leaveLocked(numbers[i], ref)
			}
			return err
		}
		spawned, numbers = append(spawned, ref), append(numbers, n)
	}
	for i, ref := range spawned {
		p.routees[numbers[i]] = ref
	}
	p.router.Add(spawned...)
	return nil
}

// takenLocked says whether an actor of the pool has the number's ID.
func (p *Pool[M]) takenLocked(n int) bool {
	_, here := p.routees[n]
	_, leaving := p.leaving[n]
	return here || leaving
}

// dismissLocked lets routees go.
func (p *Pool[M]) dismissLocked(numbers []int) {
	refs := make([]actor.Ref[M], len(numbers))
	for i, n := range numbers {
		refs[i] = p.routees[n]
		delete(p.routees, n)
	}
	p.router.Remove(refs...)
	for i, n := range numbers {
		p.leaveLocked(n, refs[i])
	}
}

func (p *Pool[M]) leaveLocked(n int, ref actor.Ref[M]) {
	// An actor of a dispatcher never refuses to be stopped.
	_ = ref.Stop()
	p.leaving[n] = ref
}

// forgetEndedLocked drops the actors that have stopped. Their IDs are free.
func (p *Pool[M]) forgetEndedLocked() {
	var gone []actor.Ref[M]
	maps.DeleteFunc(p.routees, func(_ int, ref actor.Ref[M]) bool {
		if !ended(ref) {
			return false
		}
		gone = append(gone, ref)
		return true
	})
	p.router.Remove(gone...)
	maps.DeleteFunc(p.leaving, func(_ int, ref actor.Ref[M]) bool { return ended(ref) })
}

func ended[M any](ref actor.Ref[M]) bool {
	select {
	case <-ref.Stopped():
		return true
	default:
		return false
	}
}

// Stop ends the pool: its router refuses with ErrNoRoutees, its routees handle
// what they accepted, and stop. It waits for them until ctx ends; then the
// error says how many are left, which go on to their end. Stopping again waits
// again.
func (p *Pool[M]) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = true
	p.dismissLocked(slices.Collect(maps.Keys(p.routees)))
	left := slices.Collect(maps.Values(p.leaving))
	p.mu.Unlock()
	for _, ref := range left {
		select {
		case <-ref.Stopped():
		case <-ctx.Done():
			left = slices.DeleteFunc(left, ended)
			return fmt.Errorf("router: stop pool %q: %d routees had not ended: %w", p.name, len(left), ctx.Err())
		}
	}
	return nil
}
