package sim

import (
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

// reign is an owner's time with a shard.
type reign struct {
	shard int
	owner string
	epoch uint64
}

// asked is what the log says of a command.
type asked struct {
	shard  int
	site   id.Site
	intent journal.Intent // the first one
	opened uint64         // the message with the first outbox record; 0 before
}

// sending is a command that a node gave to its gate.
type sending struct {
	by      reign
	command id.Command
}

// command notes intents and outbox records. t.mu is held.
func (t *tap) command(shard int, seq uint64, rec *journal.Record) {
	switch rec.Kind {
	case journal.KindIntent:
		in, err := journal.ParseIntent(rec.Body)
		if err != nil {
			t.trace.complain("I6", "shard %d: message %d: %v", shard, seq, err)
		} else if t.asked[in.ID] == nil {
			t.asked[in.ID] = &asked{shard: shard, site: rec.Site, intent: in}
		}
	case journal.KindOutbox:
		c, err := journal.ParseOutbox(rec.Body)
		if a := t.asked[c]; err != nil || a == nil {
			t.trace.complain("I3", "shard %d: message %d opens command %s, which nobody asked for: %v", shard, seq, c, err)
		} else if a.opened == 0 {
			a.opened = seq
		}
	}
}

// arrived checks a command at the moment when its gateway reads it: its outbox
// record is in the log (I3).
func (t *tap) arrived(gw id.Gateway, c id.Command) {
	t.mu.Lock()
	a := t.asked[c]
	open := a != nil && a.opened != 0
	t.mu.Unlock()
	if !open {
		t.trace.complain("I3", "command %s reached %s before its outbox record was in the log", c, gw)
	}
}

// sends notes that an owner let a command go.
func (t *tap) sends(by reign, c id.Command) {
	t.mu.Lock()
	t.sent = append(t.sent, sending{by, c})
	t.mu.Unlock()
}

// checkCommands demands that the log holds what was promised, and that who sent a command had its outbox record before
// another owner's barrier: what came behind that was not his to send (I3).
func (t *tap) checkCommands() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.promised {
		if t.asked[c] == nil {
			t.trace.complain("I2", "command %s was taken, and the log does not hold it", c)
		}
	}
	for _, s := range t.sent {
		a, end := t.asked[s.command], t.deposed[s.by]
		if a == nil || a.opened == 0 {
			t.trace.complain("I3", "%s sent command %s, which has no outbox record", s.by.owner, s.command)
		} else if end != 0 && a.opened > end {
			t.trace.complain("I3", "%s sent command %s, whose outbox record %d stands behind the barrier %d that deposed it", s.by.owner, s.command, a.opened, end)
		}
	}
}

// commands returns what the log says of each command.
func (t *tap) commands() map[id.Command]asked {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[id.Command]asked, len(t.asked))
	for c, a := range t.asked {
		all[c] = *a
	}
	return all
}

// promise notes that somebody was told that a command is taken.
func (t *tap) promise(c id.Command) {
	t.mu.Lock()
	t.promised = append(t.promised, c)
	t.mu.Unlock()
}
