package actor_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/snapshot/snapshottest"
)

const (
	modelAccounts = 3
	modelRefs     = 3 // to each account, taken at different times
)

// vaultStep is one move against virtual accounts and their store.
type vaultStep struct {
	kind    vaultMove
	account int
	ref     int
	n       int           // of Tell: the amount; of a fault: how many calls
	wait    time.Duration // of a pause, or of a fault
	op      snapshottest.Op
	done    bool // the failed call was done all the same
}

type vaultMove int

const (
	tellAccount vaultMove = iota
	askAccount
	renewRef
	pause
	breakStore
	stopAccount
	restartSystem
	vaultMoves
)

func vaultSteps() *rapid.Generator[[]vaultStep] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) vaultStep {
		return vaultStep{
			kind:    vaultMove(rapid.IntRange(0, int(vaultMoves)-1).Draw(t, "kind")),
			account: rapid.IntRange(0, modelAccounts-1).Draw(t, "account"),
			ref:     rapid.IntRange(0, modelRefs-1).Draw(t, "ref"),
			n:       rapid.IntRange(1, 4).Draw(t, "n"),
			wait:    time.Duration(rapid.IntRange(0, 150).Draw(t, "seconds")) * time.Second,
			op:      rapid.SampledFrom([]snapshottest.Op{snapshottest.Save, snapshottest.Load}).Draw(t, "op"),
			done:    rapid.Bool().Draw(t, "done"),
		}
	}), 1, 40)
}

// The oracle is a number for each account. Whatever happens to the store and
// to the time, an account has what it accepted since it was last stopped, and
// every accepted message was handled or is a counted dead letter (I5).
func TestAVirtualActorHasWhatItAcceptedWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules := actor.Passivation{
			Idle:     idleTime,
			Messages: rapid.IntRange(0, 3).Draw(rt, "messages"),
			Limit:    rapid.IntRange(0, 2).Draw(rt, "limit"),
		}
		script := vaultSteps().Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) { err = playVault(t, rules, script) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// vault is the accounts, their store, and what they should have.
type vault struct {
	*bank
	rules    actor.Passivation
	refs     [modelAccounts][modelRefs]actor.Ref[deposit]
	want     [modelAccounts]int
	stopped  [modelAccounts]bool // was told to stop, and nothing was accepted since
	accepted int                 // by this system
	calm     atomic.Bool         // the store does its work
}

func playVault(t *testing.T, rules actor.Passivation, script []vaultStep) error {
	v := &vault{bank: &bank{t: t, memory: snapshot.NewMemory(1 << 20)}, rules: rules}
	v.store = snapshottest.NewFaulty(v.memory)
	v.rules.Store = moody{v}
	v.open()
	for i, step := range script {
		if err := v.play(step); err != nil {
			return fmt.Errorf("step %d, %+v: %w", i, step, err)
		}
	}
	return v.close()
}

// moody is the vault's store.
type moody struct{ *vault }

func (m moody) of() snapshottest.Store {
	if m.calm.Load() {
		return m.memory
	}
	return m.bank.store
}

func (m moody) Save(ctx context.Context, id string, data []byte) error {
	return m.of().Save(ctx, id, data)
}

func (m moody) Load(ctx context.Context, id string) ([]byte, error) { return m.of().Load(ctx, id) }

func (m moody) Delete(ctx context.Context, id string) error { return m.memory.Delete(ctx, id) }

func (v *vault) open() {
	v.system, v.reg = newSystem(v.t)
	v.register(v.rules)
	for i := range v.refs {
		for k := range v.refs[i] {
			v.refs[i][k] = v.ref(strconv.Itoa(i))
		}
	}
	v.accepted = 0
}

func (v *vault) play(step vaultStep) error {
	i := step.account
	ref := &v.refs[i][step.ref]
	switch step.kind {
	case tellAccount:
		return v.account(i, ref.Tell(deposit{add: step.n}), step.n)
	case askAccount:
		got, err := v.ask(*ref)
		if err := v.account(i, err, 0); err != nil {
			return err
		}
		if err == nil && got != v.want[i] {
			return fmt.Errorf("the account has %d, want %d", got, v.want[i])
		}
	case renewRef:
		*ref = v.ref(strconv.Itoa(i))
	case pause:
		time.Sleep(step.wait)
		synctest.Wait()
	case breakStore:
		fault := snapshottest.Fault{Op: step.op, Times: step.n, Err: errDisk, Done: step.done}
		if step.wait > 75*time.Second {
			fault.Delay = step.wait
		}
		if step.n == 1 {
			fault.Err = nil // slow, and not broken
		}
		v.store.Add(fault)
	case stopAccount:
		if err := ref.Stop(); err != nil {
			return err
		}
		v.want[i], v.stopped[i] = 0, true
	case restartSystem:
		if err := v.close(); err != nil {
			return err
		}
		v.calm.Store(false)
		v.open()
	}
	return nil
}

// account notes what a sender was told. Only an account that is about to stop
// may refuse.
func (v *vault) account(i int, err error, n int) error {
	switch {
	case err == nil:
		v.accepted++
		v.want[i] += n
		v.stopped[i] = false
	case !v.stopped[i] || !errors.Is(err, actor.ErrStopped):
		return err
	}
	return nil
}

func (v *vault) ask(ref actor.Ref[deposit]) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	return actor.Ask(ctx, ref, func(r actor.Reply[int]) deposit { return deposit{reply: r} })
}

// close stops the system, whose store works from now on, and compares.
func (v *vault) close() error {
	v.calm.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	if err := v.system.Stop(ctx); err != nil {
		return err
	}
	for i, want := range v.want {
		if got := v.saved(strconv.Itoa(i)); got != strconv.Itoa(want) && (got != "" || want != 0) {
			return fmt.Errorf("the store has %q of account %d, want %d", got, i, want)
		}
	}
	if n := sum(v.t, v.reg, "atrium_actor_actors"); n != 0 {
		return fmt.Errorf("%d actors are left", n)
	}
	dead := sum(v.t, v.reg, "atrium_actor_dead_letters_total") - deadLetters(v.t, v.reg, "late_reply")
	if n := handled(v.t, v.reg); n+dead != v.accepted {
		return fmt.Errorf("%d accepted, %d handled, %d dead letters", v.accepted, n, dead)
	}
	return nil
}
