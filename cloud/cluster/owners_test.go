package cluster

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// breaking is a bucket whose watches can be broken.
type breaking struct {
	*journaltest.KV
	broken chan struct{}
}

func (b breaking) Watch(ctx context.Context, each func(journal.Entry), ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-b.broken:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := b.KV.Watch(ctx, each, ready); err != nil {
		return errors.New("the watch broke")
	}
	return nil
}

func TestTheMapOfOwnersFollowsClaimsAndHandOvers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		kv := breaking{mem.KV("owners"), make(chan struct{})}
		claim := func(node string) *Ownership {
			o, err := Claim(t.Context(), Config{Node: node, Shard: 1, Incarnation: 1}, kv, mem.Log(1), slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		a := claim("a")
		owners, err := WatchOwners(t.Context(), kv, 2, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer owners.Close()
		if h := owners.Of(0); h != (Holding{}) || owners.Of(1).Serving() != "a" || owners.Of(1).State != Recovering {
			t.Fatalf("at first: %+v, %+v", h, owners.Of(1))
		}
		changed := owners.Changed()
		if err := a.Activate(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-changed
		if err := a.Offer(t.Context(), "b", 7); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h := owners.Of(1); h.Serving() != "a" || h.Owner != "b" || h.State != Offered {
			t.Fatalf("an offered shard is served by %q: %+v", h.Serving(), h)
		}
		if err := a.Offer(t.Context(), "c", 7); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h := owners.Of(1); h.Serving() != "a" || h.Owner != "c" {
			t.Fatalf("of two offers: %+v", h)
		}
		close(kv.broken)
		c := claim("c")
		if err := c.Activate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for owners.Of(1).State != Active { // the next watch shows it
			<-owners.Changed()
		}
		if h := owners.Of(1); h.Serving() != "c" || h.From != "" {
			t.Fatalf("after the hand-over: %+v", h)
		}
	})
}

// I6: what cannot be read, or is older, changes nothing.
func TestTheMapOfOwnersIgnoresWhatIsOldOrInvalid(t *testing.T) {
	o := &Owners{log: slog.New(slog.DiscardHandler), shards: make([]Holding, 2), changed: make(chan struct{})}
	d := Document{Version: documentVersion, Incarnation: 2, Epoch: 5, Owner: "a", State: Active, Barrier: 3}
	o.learn(journal.Entry{Key: "shard.1", Value: d.encode(), Revision: 9})
	older, newer := d, d
	older.Epoch, older.Owner = 4, "b"
	newer.Incarnation, newer.Epoch, newer.Owner = 1, 9, "c" // of the time before a restore
	for key, value := range map[string][]byte{
		"shard.1": older.encode(), "shard.01": newer.encode(), "shard.2": d.encode(), "node.1": d.encode(), "shard.0": []byte("{}"),
	} {
		o.learn(journal.Entry{Key: key, Value: value, Revision: 10})
	}
	o.learn(journal.Entry{Key: "shard.1", Value: newer.encode(), Revision: 11})
	o.learn(journal.Entry{Key: "shard.1", Revision: 12}) // deleted
	if h := o.Of(1); h.Document != d || o.Of(0) != (Holding{}) {
		t.Fatalf("%+v, %+v", h, o.Of(0))
	}
}
