package site

import (
	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// commandActor calls command.State.Step.
type commandActor struct {
	site  *site
	ref   actor.Ref[message]
	state *command.State
}

// Receive takes an intent, an outbox record, a gateway's result or a tick.
func (a *commandActor) Receive(ctx *actor.ContextOf[message]) {
	m, s := ctx.Message(), a.site
	in, err := a.input(m.rec)
	if err != nil {
		s.bury(m, err.Error())
		return
	}
	out := a.state.Step(m.now, in)
	if out.Problem != "" {
		s.bury(m, out.Problem)
	}
	s.effects.outbox = append(s.effects.outbox, out.Outbox...)
	s.effects.send = append(s.effects.send, out.Send...)
	s.totals.ended += len(out.Ended)
	for _, ids := range [...][]id.Command{out.Outbox, out.Send, out.Ended} {
		for _, c := range ids {
			s.marks.add(entity{site: s.id, kind: aCommand, name: c.String()})
		}
	}
}

func (a *commandActor) input(rec record) (in command.Input, err error) {
	switch rec.kind {
	case journal.KindIntent:
		in.Kind = command.Intended
		in.Intent, err = journal.ParseIntent(rec.body)
		if t := a.site.twins[in.Intent.Device]; t != nil {
			in.Gateway = t.state.Gateway
		}
	case journal.KindOutbox:
		in.Kind = command.Opened
		in.ID, err = journal.ParseOutbox(rec.body)
	case journal.KindResult:
		in.Kind, in.Gateway = command.Answered, rec.gateway
		in.Result, err = wire.ParseResult(rec.body)
	default:
		in.Kind = command.Tick
	}
	return in, err
}
