package command

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// model is a gateway whose store fails and whose process dies anywhere, and
// what an observer of its devices and of its link knows.
type model struct {
	t      *rapid.T
	now    time.Duration
	boot   byte
	ledger ledgerOf
	state  *State
	todo   Effects

	begun   map[id.Command]int
	at      map[id.Device]id.Command     // what executes
	until   map[id.Command]time.Duration // the latest that a copy gave
	settled map[id.Command]bool          // in the ledger, and not come again since
}

func idempotent(c id.Command) bool { return c[0]%2 == 0 }

func deviceOf(c id.Command) id.Device { return at([]string{"lamp", "fan"}[c[0]/2%2]) }

func (m *model) add(e Effects) { m.todo.add(&e) }

func (m *model) send(c id.Command, remaining time.Duration) {
	m.until[c] = max(m.until[c], m.now+remaining)
	delete(m.settled, c)
	m.add(m.state.Step(m.now, Input{
		Event: Came, Idempotent: idempotent(c),
		Command: wire.Command{ID: c, Device: deviceOf(c), Name: "set", Remaining: uint64(remaining.Milliseconds())},
	}))
}

// crash is the end of the process, and of the kernel if it is a reboot.
func (m *model) crash(reboot bool) {
	if reboot {
		m.boot++
		m.now = time.Second
		for c := range m.until {
			m.until[c] = 1 << 62 // by another clock; nothing begins by the old one
		}
	}
	m.at, m.todo = map[id.Device]id.Command{}, Effects{}
	var e Effects
	m.state, e = Recover(m.now, id.Boot{m.boot}, m.ledger.found())
	m.add(e)
}

// perform does what there is to do until there is nothing, as the executor
// does. outcome says what becomes of each write.
func (m *model) perform(outcome func() string) {
	for len(m.todo.Keep)+len(m.todo.Forget)+len(m.todo.Execute) > 0 {
		e := m.todo
		m.todo = Effects{}
		for i := range e.Execute {
			m.execute(&e.Execute[i])
		}
		in := Input{Event: Kept}
		for _, k := range e.Keep {
			in.IDs = append(in.IDs, k.ID)
		}
		how := outcome()
		if how == "done" || how == "failed but done" || how == "died after" {
			m.ledger.keep(m.t, &e)
		}
		switch how {
		case "died before", "died after":
			m.crash(false)
			continue
		case "failed", "failed but done":
			in.Err = errors.New("flash says no")
		case "full":
			in.Err = buffer.ErrFull
		}
		m.add(m.state.Step(m.now, in))
		for c, n := range m.state.entries {
			if n.phase == Settled && m.ledger[c].Phase == Settled {
				m.settled[c] = true
			}
		}
	}
}

func (m *model) execute(c *Order) {
	if m.ledger[c.ID].Phase != Executing {
		m.t.Fatalf("%d begins, but the ledger says %s", c.ID[0], m.ledger[c.ID].Phase)
	}
	if m.begun[c.ID]++; m.begun[c.ID] > 1 && !idempotent(c.ID) {
		m.t.Fatalf("%d begins again", c.ID[0])
	}
	if m.now >= m.until[c.ID] {
		m.t.Fatalf("%d begins at %v, it had to before %v", c.ID[0], m.now, m.until[c.ID])
	}
	if other, busy := m.at[c.Device]; busy {
		m.t.Fatalf("%d begins beside %d", c.ID[0], other[0])
	}
	m.at[c.Device] = c.ID
}

// look is the uplink's: what it could send now.
func (m *model) look() {
	for _, r := range m.state.Unsettled(m.now, wire.MaxSettled) {
		if m.settled[r.ID] {
			m.t.Fatalf("the settled result of %d is offered", r.ID[0])
		}
		if untouched(r.State) {
			if m.begun[r.ID] > 0 {
				m.t.Fatalf("%d is %s, but it began", r.ID[0], r.State)
			}
			if m.ledger[r.ID].Phase == Executing {
				m.t.Fatalf("%d is %s, but the next process would begin it", r.ID[0], r.State)
			}
			continue
		}
		kept, err := wire.ParseResult(m.ledger[r.ID].Message)
		if err != nil || kept.State != r.State {
			m.t.Fatalf("%d is offered as %s, the ledger has %s, %v", r.ID[0], r.State, kept.State, err)
		}
	}
}

func TestACommandBeginsAtMostOnceWhereverTheProcessDies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			t: t, boot: 1, ledger: ledgerOf{}, begun: map[id.Command]int{}, at: map[id.Device]id.Command{},
			until: map[id.Command]time.Duration{}, settled: map[id.Command]bool{},
		}
		m.state, _ = Recover(0, id.Boot{1}, nil)
		command := rapid.Custom(func(t *rapid.T) id.Command { return id.Command{rapid.ByteRange(1, 8).Draw(t, "id")} })
		outcomes := rapid.SampledFrom([]string{"done", "done", "done", "full", "failed", "failed but done", "died before", "died after"})
		outcome := func() string { return outcomes.Draw(t, "write") }
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				m.send(command.Draw(t, "command"), time.Duration(rapid.IntRange(0, 5).Draw(t, "remaining"))*time.Second)
			},
			"end": func(t *rapid.T) {
				device := deviceOf(command.Draw(t, "command"))
				if c, busy := m.at[device]; busy {
					delete(m.at, device)
					m.add(m.state.Step(m.now, Input{Event: Ended, Result: wire.Result{ID: c, State: wire.ResultDone}}))
				}
			},
			"settle": func(t *rapid.T) {
				var ids []id.Command
				for _, r := range m.state.Unsettled(m.now, rapid.IntRange(1, 3).Draw(t, "results")) {
					ids = append(ids, r.ID)
				}
				m.add(m.state.Step(m.now, Input{Event: Settle, IDs: append(ids, command.Draw(t, "stray"))}))
			},
			"wait":    func(t *rapid.T) { m.now += time.Duration(rapid.IntRange(1, 3).Draw(t, "seconds")) * time.Second },
			"retry":   func(*rapid.T) { m.add(m.state.Step(m.now, Input{Event: Retry})) },
			"perform": func(*rapid.T) { m.perform(outcome) },
			"crash":   func(*rapid.T) { m.crash(false) },
			"reboot":  func(*rapid.T) { m.crash(true) },
			"":        func(*rapid.T) { m.look() },
		})
		m.calm()
	})
}

// calm lets everything end: no command stays without a settled result.
func (m *model) calm() {
	done := func() string { return "done" }
	for range 40 {
		m.perform(done)
		for device, c := range m.at {
			delete(m.at, device)
			m.add(m.state.Step(m.now, Input{Event: Ended, Result: wire.Result{ID: c, State: wire.ResultDone}}))
		}
		m.perform(done)
		m.add(m.state.Step(m.now, Input{Event: Retry}))
		m.perform(done)
		m.look()
		var ids []id.Command
		for _, r := range m.state.Unsettled(m.now, wire.MaxSettled) {
			ids = append(ids, r.ID)
		}
		m.add(m.state.Step(m.now, Input{Event: Settle, IDs: ids}))
	}
	for c, n := range m.state.entries {
		if n.phase != Settled || n.dirty || m.ledger[c].Phase != Settled {
			m.t.Fatalf("%d is left %s, in the ledger %s", c[0], n.phase, m.ledger[c].Phase)
		}
	}
	if len(m.state.queues) != 0 || len(m.state.offered) != 0 {
		m.t.Fatalf("left over: %d queues, %d offered", len(m.state.queues), len(m.state.offered))
	}
}
