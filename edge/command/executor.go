package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// maxTaken bounds the commands that come while the ledger is written: as many
	// as a gate queues for a connection, twice.
	maxTaken = 128
	// retryAfter is how long a store that failed is left alone.
	retryAfter = time.Second
)

// Ledger keeps what must survive a crash: *buffer.Ledger.
type Ledger interface {
	Load() ([]buffer.LedgerValue, error)
	// Write returns nil once all of it is fsynced.
	Write(put []buffer.LedgerValue, gone []id.Command) error
}

// Field is the devices of the gateway: *device.Sampler.
type Field interface {
	Profile(dev id.Device) (*profile.Profile, bool)
	// Execute does not block. If it returns nil, done is called once. An error
	// that wraps device.ErrNotBegun says that nothing was touched, and if it is
	// device.ErrLate too, that this was because until had come, since boot.
	Execute(dev id.Device, c *profile.Command, args []float64, until time.Duration, done func(error)) error
}

// Config says whose commands an Executor executes.
type Config struct {
	Boot id.Boot
	// Now returns the time since that boot. Required.
	Now func() time.Duration
}

// Executor executes commands. Its methods are safe for concurrent use, and but
// for Close they never block for long.
type Executor struct {
	cfg    Config
	ledger Ledger
	field  Field
	log    *slog.Logger
	m      *metrics

	wake  chan struct{} // capacity 1: there is something to do
	halt  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	state   *State
	todo    Effects
	taken   int           // commands since todo was last taken
	paused  bool          // no commands are taken or begun for now
	sealed  bool          // nor ever again
	changed chan struct{} // closed when what is unsettled changes
	count   uint64        // results since the start
}

// New recovers what an earlier process left in the ledger and starts the
// executor; the field's devices must be there already. The caller must call
// Close, before it closes the ledger.
func New(ctx context.Context, cfg Config, ledger Ledger, field Field, log *slog.Logger, reg prometheus.Registerer) (*Executor, error) {
	x := &Executor{
		cfg: cfg, ledger: ledger, field: field, log: log,
		wake: make(chan struct{}, 1), ended: make(chan struct{}), changed: make(chan struct{}),
	}
	found, err := x.load()
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	x.m = newMetrics(x)
	var e Effects
	x.state, e = Recover(cfg.Now(), cfg.Boot, found)
	x.doLocked(e)
	x.m.register(reg)
	ctx, x.halt = context.WithCancel(context.WithoutCancel(ctx))
	go x.run(ctx)
	return x, nil
}

// load reads the ledger.
func (x *Executor) load() ([]Found, error) {
	values, err := x.ledger.Load()
	if err != nil {
		return nil, err
	}
	found := make([]Found, len(values))
	for i, v := range values {
		f := &found[i]
		f.ID = v.ID
		if f.Record, err = ParseRecord(v.Value); err != nil {
			f.Damaged = true
			x.log.Error("what the ledger says of a command is damaged; it will not be executed again", "command", v.ID.String(), "err", err)
			continue
		}
		if f.Record.Phase == Executing {
			c, _ := wire.ParseCommand(f.Record.Message) // ParseRecord has checked it
			cmd, _, err := x.resolve(&c)
			switch {
			case err != nil:
				f.Problem = err.Error()
			case !cmd.Idempotent: // any more
				f.Record.Idempotent = false
			}
		}
	}
	return found, nil
}

// Take takes a command that came, perhaps not for the first time. It belongs to
// the executor from then on. A command that is not taken is counted: its sender
// sends it again.
func (x *Executor) Take(c wire.Command) {
	in := Input{Event: Came, Command: c}
	if cmd, _, err := x.resolve(&c); err != nil {
		in.Problem = err.Error()
	} else {
		in.Idempotent = cmd.Idempotent
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.sealed:
		x.drop(dropStopping, &c)
	case x.paused:
		x.drop(dropReloading, &c)
	case x.taken >= maxTaken:
		x.drop(dropBusy, &c)
	default:
		x.taken++
		x.tellLocked(in)
	}
}

// Unsettled returns the results that wait to be settled, oldest first, at most
// wire.MaxSettled.
func (x *Executor) Unsettled() []wire.Result {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.state.Unsettled(x.cfg.Now(), wire.MaxSettled)
}

// Changed is closed when what Unsettled returns changes.
func (x *Executor) Changed() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changed
}

// Settled says that the gate has these results for good.
func (x *Executor) Settled(ids []id.Command) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tellLocked(Input{Event: Settle, IDs: ids})
}

// Stats is what the executor has done and holds.
type Stats struct {
	Executed  uint64 // commands that ended since the start, those without effect included
	Unsettled int    // results
	Pending   int    // commands that wait or execute
}

// Stats returns a snapshot.
func (x *Executor) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	unsettled, pending := x.state.Count()
	return Stats{x.count, unsettled, pending}
}

// Pause keeps commands from being taken and begun until Resume: the field is
// about to change.
func (x *Executor) Pause() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.paused = true
}

// Resume ends a Pause.
func (x *Executor) Resume() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.paused = false
	x.doLocked(Effects{}) // what was held back
}

// Seal takes and begins no commands from then on; those that execute end. Those
// that wait are forgotten, as in a crash.
func (x *Executor) Seal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sealed = true
	x.tellLocked(Input{Event: Stop})
}

func (x *Executor) isSealed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sealed
}

// Close writes what came before it and ends the executor. What executes then
// counts as cut off by a crash: stop the field first.
func (x *Executor) Close() {
	x.Seal()
	x.halt()
	<-x.ended
}

// resolve finds what a command means; the error says what is wanted.
func (x *Executor) resolve(c *wire.Command) (*profile.Command, []float64, error) {
	p, ok := x.field.Profile(c.Device)
	if !ok {
		return nil, nil, fmt.Errorf("no device %s on this gateway", c.Device)
	}
	cmd, ok := p.Command(c.Name)
	switch {
	case ok:
	case len(p.Commands) == 0:
		return nil, nil, fmt.Errorf("profile %s has no commands", p.ID)
	default:
		want := make([]string, len(p.Commands))
		for i := range p.Commands {
			want[i] = p.Commands[i].Name
		}
		return nil, nil, fmt.Errorf("profile %s has no command %q, want %s", p.ID, c.Name, strings.Join(want, ", "))
	}
	args, err := cmd.Bind(c.Args)
	return cmd, args, err
}

// tellLocked steps. x.mu is held.
func (x *Executor) tellLocked(in Input) {
	e := x.state.Step(x.cfg.Now(), in)
	if e.Full {
		x.drop(dropFull, &in.Command)
	}
	x.doLocked(e)
}

// doLocked adds to what is to do. What can be done at once is. x.mu is held, or
// nobody else knows x yet.
func (x *Executor) doLocked(e Effects) {
	for i := range e.Results {
		r := &e.Results[i]
		x.count++
		x.m.results[r.State].Inc()
		x.log.Info("command ended", "command", r.ID.String(), "result", r.State.String(), "text", r.Text)
	}
	if e.Offer {
		close(x.changed)
		x.changed = make(chan struct{})
	}
	x.todo.add(&e)
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// run is the executor's goroutine.
func (x *Executor) run(ctx context.Context) {
	defer close(x.ended)
	timer := time.NewTimer(retryAfter)
	timer.Stop()
	defer timer.Stop()
	waiting := false // for the timer, which what comes meanwhile does not put off
	for {
		if dirty := x.perform(); dirty && !waiting {
			timer.Reset(retryAfter)
			waiting = true
		}
		select {
		case <-x.wake:
		case <-timer.C:
			waiting = false
			x.mu.Lock()
			x.tellLocked(Input{Event: Retry})
			x.mu.Unlock()
		case <-ctx.Done():
			x.perform()
			return
		}
	}
}

// perform does what there is to do, and what follows from that. It says whether
// something could not be written.
func (x *Executor) perform() (dirty bool) {
	for {
		x.mu.Lock()
		e := x.todo
		x.todo, x.taken = Effects{}, 0
		if x.paused {
			x.todo.Execute, e.Execute = e.Execute, nil
		}
		if len(e.Keep) == 0 { // forgetting is worth no write of its own
			x.todo.Forget, e.Forget = e.Forget, nil
		}
		dirty = x.state.Dirty()
		x.mu.Unlock()
		for i := range e.Execute {
			x.execute(&e.Execute[i])
		}
		if len(e.Keep) == 0 {
			if len(e.Execute) == 0 {
				return dirty
			}
			continue
		}
		// One write serves all that came during the last. What it fails to remove
		// the next start finds and forgets again.
		written := Input{Event: Kept, Err: x.write(&e)}
		for i := range e.Keep {
			written.IDs = append(written.IDs, e.Keep[i].ID)
		}
		x.mu.Lock()
		x.tellLocked(written)
		x.mu.Unlock()
	}
}

// write keeps and forgets.
func (x *Executor) write(e *Effects) error {
	put := make([]buffer.LedgerValue, len(e.Keep))
	for i := range e.Keep {
		k := &e.Keep[i]
		b, err := k.Record.Append(nil)
		if err != nil {
			return err
		}
		put[i] = buffer.LedgerValue{ID: k.ID, Value: b}
	}
	err := x.ledger.Write(put, e.Forget)
	if err != nil {
		x.m.writeErrors.Inc()
	}
	return err
}

// execute begins a command at its device.
func (x *Executor) execute(c *Order) {
	end := func(r wire.Result) {
		r.ID = c.ID
		x.mu.Lock()
		defer x.mu.Unlock()
		x.tellLocked(Input{Event: Ended, Result: r})
	}
	if x.isSealed() {
		end(wire.Result{State: wire.ResultRefused, Text: "the gateway stops"})
		return
	}
	cmd, args, err := x.resolve(&c.Command)
	if err != nil { // the devices have changed since it came
		end(wire.Result{State: wire.ResultRefused, Text: err.Error()})
		return
	}
	done := func(err error) {
		switch {
		case err == nil:
			end(wire.Result{State: wire.ResultDone, Confirmed: cmd.Confirm})
		case errors.Is(err, device.ErrLate):
			end(wire.Result{State: wire.ResultExpired, Text: tooLate})
		case errors.Is(err, device.ErrNotBegun):
			end(wire.Result{State: wire.ResultRefused, Text: err.Error()})
		default:
			end(wire.Result{State: wire.ResultFailed, Text: err.Error()})
		}
	}
	if err := x.field.Execute(c.Device, cmd, args, c.Until, done); err != nil {
		done(err)
	}
}
