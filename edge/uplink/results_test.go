package uplink_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// desk is Commands that ends every command at once.
type desk struct {
	mu        sync.Mutex
	taken     []wire.Command
	unsettled []wire.Result
	changed   chan struct{}
}

func newDesk(results int) *desk {
	d := &desk{changed: make(chan struct{})}
	for n := range results {
		d.unsettled = append(d.unsettled, wire.Result{ID: id.Command{byte(n)}, State: wire.ResultDone})
	}
	return d
}

func (d *desk) news() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *desk) Take(c wire.Command) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken = append(d.taken, c)
	d.unsettled = append(d.unsettled, wire.Result{ID: c.ID, State: wire.ResultDone, Confirmed: wire.ConfirmShadow})
	d.news()
}

func (d *desk) Unsettled() []wire.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.unsettled[:min(len(d.unsettled), wire.MaxSettled)])
}

func (d *desk) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *desk) Settled(ids []id.Command) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unsettled = slices.DeleteFunc(d.unsettled, func(r wire.Result) bool { return slices.Contains(ids, r.ID) })
	d.news()
}

func (d *desk) took() []wire.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.taken)
}

func order(n byte) []byte {
	return (&wire.Command{ID: id.Command{n}, Device: id.Device{Site: "hq", Name: "lamp"}, Name: "set", Remaining: 1000}).Append(nil)
}

func settle(first, last int) []byte {
	m := wire.Settled{}
	for n := first; n <= last; n++ {
		m.IDs = append(m.IDs, id.Command{byte(n)})
	}
	return m.Append(nil)
}

func TestACommandIsTakenAndItsResultIsSentUntilItIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(0)
		r := newRig(t, settings{commands: d})
		r.start()
		time.Sleep(time.Second)
		r.gate.tell(order(7))
		time.Sleep(time.Second)
		if took := d.took(); len(took) != 1 || took[0].Device.Name != "lamp" || took[0].Remaining != 1000 {
			t.Fatalf("taken %+v", took)
		}
		if got := r.gate.answered(); got != "1:7" {
			t.Fatalf("results %q, want one", got)
		}
		// Not settled: again on the next connection, and on that once.
		r.gate.conn(1).Close(wire.CloseShutdown, "")
		time.Sleep(5 * time.Second)
		r.gate.tell(order(8))
		time.Sleep(time.Second)
		if got := r.gate.answered(); got != "1:7 2:7 2:8" {
			t.Fatalf("results %q", got)
		}
		r.gate.tell(settle(7, 8), settle(7, 8))
		time.Sleep(time.Second)
		// Settled: not again, unless its command comes again.
		r.gate.tell(order(8))
		time.Sleep(time.Second)
		r.gate.conn(2).Close(wire.CloseShutdown, "")
		time.Sleep(5 * time.Second)
		if got := r.gate.answered(); got != "1:7 2:7 2:8 2:8 3:8" {
			t.Errorf("results %q", got)
		}
		for name, want := range map[string]float64{"commands_total": 3, "results_total": 5, "stray_settled_total": 2} {
			if got := r.metric("atrium_uplink_"+name, ""); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	})
}

// I5: the gate closes a connection with more.
func TestAtMost64ResultsOfAConnectionAreUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{commands: newDesk(150)})
		r.start()
		count := func() int {
			time.Sleep(time.Second)
			return len(strings.Fields(r.gate.answered()))
		}
		if n := count(); n != wire.MaxSettled {
			t.Fatalf("%d results without a settled", n)
		}
		r.gate.tell(settle(0, 9))
		if n := count(); n != wire.MaxSettled+10 {
			t.Fatalf("%d results after 10 were settled", n)
		}
		r.gate.tell(settle(10, 73))
		if n := count(); n != 74+wire.MaxSettled {
			t.Errorf("%d results after those were settled", n)
		}
		r.gate.tell(settle(74, 137))
		if n := count(); n != 150 {
			t.Errorf("%d results in the end", n)
		}
		if r.gate.connections() != 1 {
			t.Errorf("%d connections", r.gate.connections())
		}
	})
}

func TestACommandThatCannotBeReadEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(0)
		r := newRig(t, settings{commands: d})
		r.start()
		time.Sleep(time.Second)
		msg := order(7)
		r.gate.tell(msg[:len(msg)-1])
		time.Sleep(time.Second)
		if took := d.took(); len(took) != 0 || r.metric("atrium_uplink_disconnects_total", "protocol") != 1 {
			t.Errorf("%d taken\n%s", len(took), r.log)
		}
	})
}
