package site

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var _ Sender = (*gate.Gate)(nil)

// intentOf asks for t1 to be switched on within a minute.
func intentOf(n byte) journal.Intent {
	now := time.Now()
	return journal.Intent{
		ID: id.Command{n}, Device: "t1", Name: "set", Args: []wire.Arg{{Name: "on", Value: wire.Value{Kind: wire.KindBoolean, Number: 1}}},
		Issued: now.UnixMicro(), Deadline: now.Add(time.Minute).UnixMicro(), By: "ann",
	}
}

func resultOf(gw id.Gateway, n byte, state wire.ResultState) journal.Record {
	r := wire.Result{ID: id.Command{n}, State: state, Ago: 250}
	return wireRecord(journal.KindResult, gw, r.Append(nil))
}

func (l *line) command(n byte) Command {
	l.t.Helper()
	c, err := l.shard.Command(l.t.Context(), "hq", id.Command{n})
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func TestACommandGoesFromItsIntentToItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.settled()
		if c, err := l.shard.Intend(t.Context(), "hq", intentOf(1)); err != nil || c.Status.Ended() || c.By != "ann" || c.Gateway != "gw1" {
			t.Fatalf("%+v, %v", c, err)
		}
		l.settled()
		if c := l.command(1); c.Status != command.Sent || l.sender.count() != 1 || l.sender.to[0] != gw1 {
			t.Fatalf("%+v, sent to %v", c, l.sender.to)
		}
		if m := l.sender.sent[0]; m.ID != (id.Command{1}) || m.Device != dev1 || m.Name != "set" || len(m.Args) != 1 || m.Remaining == 0 || m.Remaining > 60_000 {
			t.Fatalf("sent %+v", m)
		}
		l.publish(resultOf(gw2, 1, wire.ResultDone)) // not whom it was sent to
		l.settled()
		if c := l.command(1); c.Status != command.Sent || len(l.history.dead) != 1 {
			t.Fatalf("another gateway's result counts: %+v", c)
		}
		l.publish(resultOf(gw1, 1, wire.ResultDone))
		l.settled()
		if c := l.command(1); c.Status != command.Done {
			t.Fatalf("%+v", c)
		}
		n := l.sender.count()
		time.Sleep(10 * time.Second)
		if got := l.sender.count(); got != n {
			t.Fatalf("sent %d times more although it is done", got-n)
		}
		again, err := l.shard.Intend(t.Context(), "hq", intentOf(1))
		if err != nil || again.Status != command.Done {
			t.Fatalf("asked for again: %+v, %v", again, err)
		}
		// Nobody to send it to: it ends at once and says why.
		lost := intentOf(2)
		lost.Device = "nobody"
		if c, err := l.shard.Intend(t.Context(), "hq", lost); err != nil || c.Status != command.Refused || c.Text == "" {
			t.Fatalf("%+v, %v", c, err)
		}
	})
}

// I3, I7: an effect may leave only once the log says so. A command that was
// sent before might be sent by an owner that no longer is one, and nobody who
// replays would know.
func TestNoCommandLeavesBeforeItsOutboxRecordIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		l := start(t, mem, newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.settled()
		early := false
		l.sender.hook = func() {
			early = true
			for _, m := range logOf(t, mem) {
				for _, rec := range m.Records {
					early = early && rec.Kind != journal.KindOutbox
				}
			}
		}
		for n := range byte(5) {
			if _, err := l.shard.Intend(t.Context(), "hq", intentOf(n)); err != nil {
				t.Fatal(err)
			}
			l.settled()
			if l.sender.count() != int(n)+1 || early {
				t.Fatalf("command %d: sent %d times, before any outbox record: %v", n, l.sender.count(), early)
			}
		}
		outbox := 0
		for _, m := range logOf(t, mem) {
			for _, rec := range m.Records {
				if rec.Kind == journal.KindOutbox {
					outbox++
				}
			}
		}
		if outbox != 5 {
			t.Fatalf("%d outbox records of 5 commands", outbox)
		}
	})
}

// logOf reads the whole log.
func logOf(t *testing.T, mem *journaltest.Mem) (all []journal.Message) {
	t.Helper()
	first, last, err := mem.Log(0).Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := mem.Log(0).Read(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for ; first <= last; first++ {
		m, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// I7: what an owner before left, the next one does, and no more: outbox records
// that are missing, commands without a result. Replay itself sends nothing.
func TestANewOwnerDoesWhatIsLeftAndReplaySendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, h := journaltest.NewMem(journaltest.Config{}), newMemHistory(t)
		l := start(t, mem, h, "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.settled()
		for n := range byte(2) {
			if _, err := l.shard.Intend(t.Context(), "hq", intentOf(n)); err != nil {
				t.Fatal(err)
			}
		}
		l.settled()
		l.publish(resultOf(gw1, 0, wire.ResultFailed))
		l.settled()
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		// An owner that died between the intent and its outbox record.
		in := intentOf(2)
		token, err := cluster.Claim(t.Context(), cluster.Config{Node: "b", Incarnation: 1}, mem.KV("cluster"), mem.Log(0), quiet(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.Publish(t.Context(), []journal.Record{ownerOf(journal.KindIntent, "hq", in.Append(nil))}); err != nil {
			t.Fatal(err)
		}
		second := start(t, mem, h, "c", Config{})
		second.settled()
		var ids []id.Command
		for _, m := range second.sender.sent {
			ids = append(ids, m.ID)
		}
		if !slices.Equal(ids, []id.Command{{1}, {2}}) {
			t.Fatalf("sent %v: want what has no result, and what was never sent", ids)
		}
		if c := second.command(2); c.Status != command.Sent {
			t.Fatalf("%+v", c)
		}
	})
}

// The gateway may be away: the command is sent again until it answers or time
// is over, and never after that.
func TestACommandIsSentAgainUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{SnapshotEvery: time.Hour})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.settled()
		l.sender.err = gate.ErrNotConnected
		if _, err := l.shard.Intend(t.Context(), "hq", intentOf(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if n := l.sender.count(); n < 10 || n > 16 {
			t.Fatalf("tried %d times in 30 s", n)
		}
		if l.metric("atrium_site_commands_unsent_total") < 10 {
			t.Fatal("what the gate did not take is not counted")
		}
		time.Sleep(41 * time.Second) // the deadline and the grace behind it
		l.settled()
		if c := l.command(1); c.Status != command.Unanswered {
			t.Fatalf("%+v", c)
		}
		n := l.sender.count()
		time.Sleep(time.Minute)
		if l.sender.count() != n || len(l.shard.sent) != 0 {
			t.Fatalf("sent %d times more after its end, %d remembered", l.sender.count()-n, len(l.shard.sent))
		}
		l.publish(resultOf(gw1, 1, wire.ResultDone)) // it did it in time, and was cut off
		l.settled()
		if c := l.command(1); c.Status != command.Done {
			t.Fatalf("a late result does not count: %+v", c)
		}
	})
}

// I3: who lost the shard says so to whoever asks, and takes nothing.
func TestAnOwnerThatLostItsShardTakesNoCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		l := start(t, mem, newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.settled()
		if _, err := cluster.Claim(t.Context(), cluster.Config{Node: "b", Incarnation: 1}, mem.KV("cluster"), mem.Log(0), quiet(), nil); err != nil {
			t.Fatal(err)
		}
		if c, err := l.shard.Intend(t.Context(), "hq", intentOf(1)); err == nil {
			t.Fatalf("taken: %+v", c)
		}
		<-l.shard.ended
		_ = l.stop()
		if l.sender.count() != 0 {
			t.Fatal("sent by an owner that is none")
		}
	})
}

func TestNobodyTakesACommandBeforeTheShardIsActive(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	if _, err := s.Intend(t.Context(), "hq", intentOf(1)); !errors.Is(err, ErrInactive) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.reach(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestAnIntentThatNoSiteWouldTakeStaysOutOfTheLog(t *testing.T) { // I6
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.settled()
		_, before, err := l.log.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for what, spoil := range map[string]func(*journal.Intent){
			"17 args":       func(in *journal.Intent) { in.Args = slices.Repeat(in.Args, wire.MaxArgs+1) },
			"a long origin": func(in *journal.Intent) { in.By = strings.Repeat("a", wire.MaxText+1) },
			"too late":      func(in *journal.Intent) { in.Deadline = in.Issued + (wire.MaxRemaining+1)*1000 },
			"no name":       func(in *journal.Intent) { in.Device = "t 1" },
		} {
			in := intentOf(1)
			spoil(&in)
			if _, err := l.shard.Intend(t.Context(), "hq", in); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		l.settled()
		if _, after, err := l.log.Bounds(t.Context()); err != nil || after != before {
			t.Fatalf("the log grew from %d to %d (%v)", before, after, err)
		}
	})
}
