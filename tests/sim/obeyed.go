package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	edgecommand "github.com/atrium-iot/atrium/edge/command"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// endTime is the longest wait for commands after healing: the longest
	// span, the cloud's grace behind it, and a backoff.
	endTime = time.Minute
	// beginSlack is how much later than its time is over a command may be seen
	// to be executed: it began before, and a read was in flight.
	beginSlack = time.Second
)

// quiet waits until every command has ended on both sides, every result is
// settled, and every document is in force.
func (s *Sim) quiet(ctx context.Context) error {
	var err error
	for begin := time.Now(); time.Since(begin) < endTime; time.Sleep(100 * time.Millisecond) {
		if err = s.busy(ctx); err == nil {
			return nil
		}
	}
	return err
}

// busy says what has not come to rest.
func (s *Sim) busy(ctx context.Context) error {
	for _, g := range s.gateways {
		p := g.current()
		if p == nil || p.isCrashed() {
			return fmt.Errorf("%s is down", g.name)
		}
		if st := p.commands.Stats(); st.Pending+st.Unsettled > 0 {
			return fmt.Errorf("%s has %d commands to execute and %d results to settle", g.name, st.Pending, st.Unsettled)
		}
		if !g.read() {
			return fmt.Errorf("%s has just begun", g.name)
		}
	}
	if err := s.cloud.settled(ctx); err != nil {
		return err
	}
	for _, name := range s.names() {
		all, err := s.cloud.commands(ctx, name)
		if err != nil {
			return err
		}
		for _, c := range all {
			if !c.Status.Ended() {
				return fmt.Errorf("command %s of %s is %s", c.ID, name, c.Status)
			}
		}
		if err := s.documentsDiffer(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// commands returns a site's commands.
func (c *cloud) commands(ctx context.Context, name id.Site) ([]site.Command, error) {
	return askOwner(ctx, c, name, func(s *site.Shard) ([]site.Command, error) { return s.Commands(ctx, name) })
}

// askOwner asks the shard that has a site.
func askOwner[T any](ctx context.Context, c *cloud, name id.Site, ask func(*site.Shard) (T, error)) (T, error) {
	var none T
	n := c.some()
	if n == nil {
		return none, errNoNode
	}
	shard, err := n.shardOf(ctx, name)
	if err != nil {
		return none, err
	}
	s, err := c.serving(shard)
	if err != nil {
		return none, err
	}
	return ask(s)
}

// answer is how a command ended, on one of the two sides.
type answer struct {
	state     string
	confirmed wire.Confirm
	text      string
}

// kept is what a gateway's ledger says of its commands.
func (p *process) kept() (map[id.Command]answer, error) {
	values, err := p.buf.Ledger().Load()
	if err != nil {
		return nil, err
	}
	all := map[id.Command]answer{}
	for _, v := range values {
		rec, err := edgecommand.ParseRecord(v.Value)
		if err != nil {
			return nil, err
		}
		if rec.Phase != edgecommand.Settled {
			all[v.ID] = answer{state: rec.Phase.String()}
			continue
		}
		r, err := wire.ParseResult(rec.Message)
		if err != nil {
			return nil, err
		}
		all[v.ID] = answer{r.State.String(), r.Confirmed, r.Text}
	}
	return all, nil
}

// checkCommands compares what was asked for, what the cloud says became of it,
// what the gateways remember, and what the boards were made to do.
func (s *Sim) checkCommands(ctx context.Context, tally *Tally) {
	s.tap.checkCommands()
	ended := map[id.Command]command.Command{}
	for _, name := range s.names() {
		all, err := s.cloud.commands(ctx, name)
		if err != nil {
			s.trace.complain("commands", "%v", err)
		}
		for _, c := range all {
			ended[c.ID] = c.Command
		}
	}
	log := s.tap.commands()
	for c, a := range log {
		end, ok := ended[c]
		if !ok {
			s.trace.complain("commands", "command %s is in the log, and its site does not know it", c)
			continue
		}
		tally.note(end.Status)
		tally.Again += max(0, s.checkExecutions(&a, &end)-1)
	}
	for _, g := range s.gateways {
		for c, kept := range g.kept {
			end := ended[c]
			if cloud := (answer{end.Status.String(), end.Confirmed, end.Text}); cloud != kept {
				s.trace.complain("commands", "command %s: the cloud has %+v, %s has %+v", c, cloud, g.name, kept)
			}
		}
	}
	for c, end := range ended {
		switch end.Status {
		case command.Done, command.Failed, command.Unknown:
			if g := s.gatewayOf(&end); g == nil || g.kept[c].state == "" {
				s.trace.complain("commands", "command %s is %s, and its gateway knows nothing of it", c, end.Status)
			}
		}
	}
	s.checkUnasked(log)
}

// checkUnasked demands that boards did nothing but what the log asked for: the
// first intent of an id says what it is.
func (s *Sim) checkUnasked(log map[id.Command]asked) {
	type pressed struct {
		device id.Device
		number int
	}
	want := map[pressed]bool{}
	for _, a := range log {
		want[pressed{id.Device{Site: a.site, Name: a.intent.Device}, int(a.intent.Args[0].Value.Number)}] = true
	}
	for _, g := range s.gateways {
		for _, x := range g.board.panel.executed() {
			if !want[pressed{x.device, x.number}] {
				s.trace.complain("commands", "%s did %d, which nobody asked for", x.device, x.number)
			}
		}
	}
}

// gatewayOf returns the gateway that a command was sent to.
func (s *Sim) gatewayOf(c *command.Command) *gateway {
	for _, g := range s.gateways {
		if g.name.Name == c.Gateway {
			return g
		}
	}
	return nil
}

// note counts how a command ended.
func (t *Tally) note(s command.Status) {
	switch s {
	case command.Done:
		t.Done++
	case command.Unknown:
		t.Unknown++
	case command.Expired, command.Unanswered:
		t.Expired++
	case command.Accepted, command.Sent, command.Failed, command.Refused:
	}
}

// checkExecutions holds what a board did against how its command ended. It
// returns how often a stamp or dial did it.
func (s *Sim) checkExecutions(a *asked, end *command.Command) int {
	c := a.intent.ID
	g := s.gatewayOf(end)
	if g == nil {
		if end.Status != command.Refused && end.Status != command.Expired {
			s.trace.complain("commands", "command %s hung on no gateway and is %s", c, end.Status)
		}
		return 0
	}
	times, which := g.executed(&a.intent)
	h := g.heard.of(c)
	done := end.Status == command.Done
	switch {
	case which == relayDevice:
		on := index(a.intent.Args[0].Value.Number != 0)
		if last := g.board.panel.lastDriven(on); done && last.UnixMicro() < end.SentAt {
			s.trace.complain("commands", "command %s is done, and the relay's line was never driven to %d behind it", c, on)
		}
		return 0
	case done && len(times) == 0:
		s.trace.complain("commands", "command %s is done, and %s never did it", c, end.Device)
	case !done && untouched(end.Status) && len(times) > 0:
		s.trace.complain("commands", "command %s is %s, and %s did it", c, end.Status, end.Device)
	case which == stampDevice && len(times) > 1:
		s.trace.complain("commands", "command %s was executed at %v: it is not idempotent", c, times)
	}
	for i, at := range times {
		if i > 0 && g.processAt(times[i-1]) == g.processAt(at) {
			s.trace.complain("commands", "command %s was executed twice by one process of %s", c, g.name)
		}
		if !h.offered.IsZero() && h.offered.Before(at) {
			s.trace.complain("commands", "command %s was executed after its result was offered", c)
		}
		if at.After(h.until.Add(beginSlack)) {
			s.trace.complain("commands", "command %s was executed at %s, it had to begin before %s", c, at, h.until)
		}
	}
	return len(times)
}

// untouched says whether a command that ended so touched nothing.
func untouched(s command.Status) bool { return s == command.Refused || s == command.Expired }

// executed returns when a gateway's board did what an intent says.
func (g *gateway) executed(in *journal.Intent) (times []time.Time, which int) {
	p := g.board.panel
	which = slices.IndexFunc(p.actuators[:], func(a actuator) bool { return a.device.Name == in.Device })
	for _, x := range p.executed() {
		if x.device.Name == in.Device && x.number == int(in.Args[0].Value.Number) {
			times = append(times, x.at)
		}
	}
	return times, which
}

// processAt returns which of the gateway's processes ran at a time.
func (g *gateway) processAt(at time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, began := range g.began {
		if !began.After(at) {
			n++
		}
	}
	return n
}
