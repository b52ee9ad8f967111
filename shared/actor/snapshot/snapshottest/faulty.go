package snapshottest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Op is a call of a store.
type Op string

// The calls of a store.
const (
	Save   Op = "save"
	Load   Op = "load"
	Delete Op = "delete"
)

// Fault is what happens to the calls that it matches.
type Fault struct {
	Op Op     // "": any
	ID string // "": any

	Times int // how many calls it meets; 0: one; below 0: all

	// Met, if not nil, is closed when the first call meets the fault. Then the
	// call waits for Delay and until Until, if not nil, is closed; it is
	// refused when its context ends before that.
	Met   chan<- struct{}
	Delay time.Duration
	Until <-chan struct{}

	// Err is what the call returns. It does not reach the store before, unless
	// Done: then it was done and nobody learns so, as when an fsync fails
	// after a rename.
	Err  error
	Done bool
}

// Call is a call that a Faulty got.
type Call struct {
	Op Op
	ID string
}

// Faulty is a store before another one: its calls are slow or fail by a
// script. It is safe for concurrent use and works in a synctest bubble: no
// call waits with a lock held.
type Faulty struct {
	store Store

	mu     sync.Mutex
	faults []*Fault
	calls  []Call
}

// NewFaulty makes a store that does what store does until a fault is added.
func NewFaulty(store Store, faults ...Fault) *Faulty {
	f := &Faulty{store: store}
	f.Add(faults...)
	return f
}

// Add appends to the script. A call meets the first fault that matches it.
func (f *Faulty) Add(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		if fault.Times == 0 {
			fault.Times = 1
		}
		f.faults = append(f.faults, &fault)
	}
}

// Unmet returns how many faults are left that a call was to meet: a test whose
// faults did not happen tested nothing.
func (f *Faulty) Unmet() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := 0
	for _, fault := range f.faults {
		if fault.Times > 0 {
			left++
		}
	}
	return left
}

// Calls returns the calls that began, in their order.
func (f *Faulty) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Save saves by the script.
func (f *Faulty) Save(ctx context.Context, id string, data []byte) error {
	return f.call(ctx, Save, id, func() error { return f.store.Save(ctx, id, data) })
}

// Load loads by the script.
func (f *Faulty) Load(ctx context.Context, id string) (data []byte, err error) {
	err = f.call(ctx, Load, id, func() (err error) {
		data, err = f.store.Load(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Delete deletes by the script.
func (f *Faulty) Delete(ctx context.Context, id string) error {
	return f.call(ctx, Delete, id, func() error { return f.store.Delete(ctx, id) })
}

func (f *Faulty) call(ctx context.Context, op Op, id string, do func() error) error {
	fault := f.meet(Call{op, id})
	if err := fault.wait(ctx); err != nil {
		return err
	}
	if fault.Err == nil {
		return do()
	}
	if fault.Done {
		if err := do(); err != nil {
			return err
		}
	}
	return fault.Err
}

// meet notes the call and takes its fault, the zero Fault when it has none.
func (f *Faulty) meet(c Call) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	for _, fault := range f.faults {
		if fault.Times == 0 || fault.Op != "" && fault.Op != c.Op || fault.ID != "" && fault.ID != c.ID {
			continue
		}
		fault.Times--
		if fault.Met != nil {
			close(fault.Met)
		}
		taken := *fault
		fault.Met = nil
		return taken
	}
	return Fault{}
}

func (f Fault) wait(ctx context.Context) error {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.Until != nil {
		select {
		case <-f.Until:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
