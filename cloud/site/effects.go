package site

import (
	"context"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Sender reaches gateways: gate.Gate or its double.
type Sender interface {
	// Command queues a command for a gateway and never blocks. That it returns
	// nil does not say that the command arrives.
	Command(gw id.Gateway, c wire.Command) error
}

// sendAgain is how long after a command was sent it is sent again, if its
// result has not come: longer than a round trip over a bad link. Its id makes
// it the same command to the gateway.
const sendAgain = 2 * time.Second

// act does what a turn asks of the owner. In a replay nobody asks: what is
// still to be done then, begin finds in the state (I7).
func (s *Shard) act(st *site) {
	if !s.serving {
		return
	}
	s.publishOutbox(st, st.effects.outbox)
	for _, c := range st.effects.send {
		s.send(st, c, time.Now())
	}
}

// begin takes up what a former owner left: outbox records that are missing, and
// commands without a result. Only now is there an owner to act (I3).
func (s *Shard) begin() {
	s.serving = true
	now := time.Now()
	for _, name := range s.names() {
		s.beginSite(s.sites[name], now)
	}
	s.copyDocuments()
	s.move()
}

func (s *Shard) beginSite(st *site, now time.Time) {
	outbox, send := st.commands.state.Pending()
	s.publishOutbox(st, outbox)
	for _, c := range send {
		s.send(st, c, now)
	}
}

// publishOutbox has the log say that commands may be sent from here on.
func (s *Shard) publishOutbox(st *site, commands []id.Command) {
	for _, c := range commands {
		s.keeper.add(journal.Record{Kind: journal.KindOutbox, Origin: s.cfg.Node, Site: st.id, Body: journal.AppendOutbox(nil, c)})
	}
}

// send sends a command whose outbox record was applied.
func (s *Shard) send(st *site, command id.Command, now time.Time) {
	gateway, m, ok := st.commands.state.Wire(command, st.id, now.UnixMicro())
	if !ok || s.owner.Err() != nil {
		return
	}
	s.sent[command] = now
	if err := s.sender.Command(id.Gateway{Site: st.id, Name: gateway}, m); err != nil {
		s.metrics.unsent.Inc()
		s.log.Debug("command not sent, it will be tried again", "command", command, "gateway", gateway, "err", err)
		return
	}
	s.metrics.sent.Inc()
}

// resend sends what has no result yet again.
func (s *Shard) resend(now time.Time) {
	open := make(map[id.Command]bool)
	for _, name := range s.names() {
		st := s.sites[name]
		_, send := st.commands.state.Pending()
		for _, c := range send {
			open[c] = true
			if now.Sub(s.sent[c]) >= sendAgain {
				s.send(st, c, now)
			}
		}
	}
	for c := range s.sent {
		if !open[c] {
			delete(s.sent, c)
		}
	}
}

// Intend puts a command into the log. It returns the command as its site has it
// once the intent is durable and applied: a known id is the command that it
// was, and a refused one says why. ErrInvalid: it is beyond what a record may
// hold, and the log never sees it.
func (s *Shard) Intend(ctx context.Context, name id.Site, in journal.Intent) (Command, error) {
	select {
	case <-s.active:
	default:
		return Command{}, fmt.Errorf("site: shard %d: intend: %w", s.cfg.Shard, ErrInactive)
	}
	body := in.Append(nil)
	if _, err := journal.ParseIntent(body); err != nil {
		return Command{}, fmt.Errorf("site: intend: %w: %w", ErrInvalid, err)
	}
	rec := journal.Record{Kind: journal.KindIntent, Origin: s.cfg.Node, Site: name, Body: body}
	seq, err := s.owner.Publish(ctx, []journal.Record{rec})
	if err != nil {
		return Command{}, fmt.Errorf("site: shard %d: intend: %w", s.cfg.Shard, err)
	}
	if err := s.reach(ctx, seq); err != nil {
		return Command{}, err
	}
	return s.Command(ctx, name, in.ID)
}

// waiter is somebody who waits for a message to be applied.
type waiter struct {
	seq  uint64
	done chan struct{}
}

// reach returns when the message seq is applied.
func (s *Shard) reach(ctx context.Context, seq uint64) error {
	done := make(chan struct{})
	err := s.ask(ctx, func() {
		if s.waiters = append(s.waiters, waiter{seq, done}); s.applied >= seq {
			s.release()
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-s.ended:
		return fmt.Errorf("site: shard %d: %w", s.cfg.Shard, ErrEnded)
	case <-ctx.Done():
		return fmt.Errorf("site: shard %d: message %d: %w", s.cfg.Shard, seq, ctx.Err())
	}
}

// release tells those who waited for what is applied.
func (s *Shard) release() {
	waiting := s.waiters[:0]
	for _, w := range s.waiters {
		if w.seq <= s.applied {
			close(w.done)
		} else {
			waiting = append(waiting, w)
		}
	}
	clear(s.waiters[len(waiting):])
	s.waiters = waiting
}
