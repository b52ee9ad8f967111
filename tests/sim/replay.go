package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// replayTime is the longest wait for a replay and its snapshot.
const replayTime = 20 * time.Second

// checkReplay replays each log from its start and from the last snapshot: the
// states must be the same bytes, history the same rows (I7).
func (s *Sim) checkReplay(ctx context.Context) {
	_, logs := s.tap.known()
	again := newRecords(s.trace, s.plan.Seed)
	for shard, log := range logs {
		if s.sabotage.Replayed != nil {
			log = s.sabotage.Replayed(log)
		}
		live := s.cloud.mem.Objects(shard)
		full, err := s.replay(ctx, shard, log, nil, again)
		if err != nil {
			s.trace.complain("I7", "shard %d: replay from the start: %v", shard, err)
			continue
		}
		s.compareFromSnapshot(ctx, shard, log, live, full)
		s.compareSnapshots(ctx, shard, log, live)
	}
	rows, ledger := s.cloud.history.all()
	rows2, ledger2 := again.all()
	if !reflect.DeepEqual(rows, rows2) {
		s.trace.complain("I7", "the replayed rows differ from the live ones: %d and %d", len(rows2), len(rows))
	}
	windows, alarms := s.cloud.history.stages()
	windows2, alarms2 := again.stages()
	if !maps.Equal(windows, windows2) {
		s.trace.complain("I7", "the replayed parts of windows differ from the live ones: %d and %d", len(windows2), len(windows))
	}
	if !maps.Equal(alarms, alarms2) {
		s.trace.complain("I7", "the replayed alarm log differs from the live one:\n%+v\n%+v", alarms2, alarms)
	}
	if !reflect.DeepEqual(ledger, ledger2) {
		s.trace.complain("I7", "the replayed ledger differs from the live one:\n%+v\n%+v", ledger2, ledger)
	}
}

// compareFromSnapshot recovers as a new owner does, and compares with full.
func (s *Sim) compareFromSnapshot(ctx context.Context, shard int, log []journal.Message, live *journaltest.Objects, full map[id.Site]state) {
	held := newRecords(s.trace, s.plan.Seed)
	held.positions[shard] = uint64(len(log)) // nothing is written again
	recovered, err := s.replay(ctx, shard, log, live, held)
	if err != nil {
		s.trace.complain("I7", "shard %d: replay from the snapshot: %v", shard, err)
		return
	}
	for name, want := range full {
		if got := recovered[name]; !bytes.Equal(got.bytes, want.bytes) {
			s.trace.complain("I7", "site %s: the snapshot with the log behind it gives another state (%d bytes, from %d) than the whole log (%d bytes)", name, len(got.bytes), got.seq, len(want.bytes))
		}
	}
}

// compareSnapshots replays to where each live snapshot stands.
func (s *Sim) compareSnapshots(ctx context.Context, shard int, log []journal.Message, live *journaltest.Objects) {
	states, err := newest(ctx, live)
	if err != nil {
		s.trace.complain("I7", "shard %d: snapshots: %v", shard, err)
		return
	}
	done := map[uint64]map[id.Site]state{}
	for name, want := range states {
		if done[want.seq] == nil {
			if done[want.seq], err = s.replay(ctx, shard, log[:want.seq], nil, newRecords(s.trace, s.plan.Seed)); err != nil {
				s.trace.complain("I7", "shard %d: replay to %d: %v", shard, want.seq, err)
				continue
			}
		}
		if got := done[want.seq][name]; !bytes.Equal(got.bytes, want.bytes) {
			s.trace.complain("I7", "site %s: the snapshot at %d (%d bytes) is not the replayed state (%d bytes)", name, want.seq, len(want.bytes), len(got.bytes))
		}
	}
}

// replay runs an owner over a recorded log, from what the objects of bucket
// hold, and returns the sites' states at its end.
func (s *Sim) replay(ctx context.Context, shard int, log []journal.Message, bucket *journaltest.Objects, hist *records) (map[id.Site]state, error) {
	objects := journaltest.NewMem(journaltest.Config{}).Objects(shard)
	if bucket != nil {
		if err := copyObjects(ctx, objects, bucket); err != nil {
			return nil, err
		}
	}
	logger := s.trace.logger("replay")
	system := actor.NewActorSystem(actor.Config{Address: "replay", ClusterName: "replay"}, logger)
	end := uint64(len(log))
	owner, err := site.New(site.Config{Shard: shard, Node: "replay", SnapshotEvery: time.Second}, site.Parts{
		Journal: recorded(log), Owner: standing{end}, Objects: objects, History: hist.open(),
		Documents: alone{}, Sender: alone{}, Actors: system,
	}, logger, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, replayTime)
	ended := make(chan error, 1)
	go func() { ended <- owner.Run(ctx) }()
	err = snapshotAt(ctx, owner, end)
	cancel()
	err = errors.Join(err, <-ended, system.Stop(context.Background()))
	if err != nil {
		return nil, err
	}
	return newest(context.Background(), objects)
}

// alone is the catalog and the gate of a replay: the log has it all.
type alone struct{}

func (alone) Sites(int) []id.Site                    { return nil }
func (alone) Of(id.Site) []journal.Document          { return nil }
func (alone) Changed() <-chan struct{}               { return nil }
func (alone) Command(id.Gateway, wire.Command) error { return gate.ErrNotConnected }

// quietTime is after how long an owner that keeps a snapshot every second has
// nothing to keep: what follows its last one in the log is of no site.
const quietTime = 3 * time.Second

// snapshotAt waits until the owner has applied the log and kept what changed.
func snapshotAt(ctx context.Context, owner *site.Shard, end uint64) error {
	for begin := time.Now(); ; {
		p, err := owner.Progress(ctx)
		if err != nil {
			return err
		}
		sites, err := owner.Sites(ctx)
		if err != nil {
			return err
		}
		if p.Applied >= end && (p.Snapshot >= end || len(sites) == 0 || p.Snapshot > 0 && time.Since(begin) > quietTime) {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("applied %d, snapshot at %d, want %d: %w", p.Applied, p.Snapshot, end, ctx.Err())
		}
	}
}

func copyObjects(ctx context.Context, to, from *journaltest.Objects) error {
	all, err := from.List(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		data, err := from.Get(ctx, o.Name)
		if err != nil {
			return err
		}
		if err := to.Put(ctx, o.Name, data); err != nil {
			return err
		}
	}
	return nil
}

// state is a site's state as a snapshot holds it.
type state struct {
	seq   uint64
	bytes []byte
}

// newest returns each site's newest object, without its head.
func newest(ctx context.Context, objects *journaltest.Objects) (map[id.Site]state, error) {
	all, err := objects.List(ctx)
	if err != nil {
		return nil, err
	}
	states := map[id.Site]state{}
	for _, o := range all {
		parts := strings.Split(o.Name, ".") // site.NAME.SEQ
		if len(parts) != 3 || parts[0] != "site" {
			continue
		}
		name := id.Site(parts[1])
		seq, err := strconv.ParseUint(parts[2], 10, 64)
		if err != nil || seq < states[name].seq {
			continue
		}
		data, err := objects.Get(ctx, o.Name)
		if err != nil {
			return nil, err
		}
		var head []cbor.RawMessage // [version, site, seq, state]
		if err := cbor.Unmarshal(data, &head); err != nil || len(head) != 4 {
			return nil, fmt.Errorf("object %s is not a snapshot: %w", o.Name, err)
		}
		states[name] = state{seq, head[3]}
	}
	return states, nil
}

// recorded is a log that is complete: message i has sequence i+1.
type recorded []journal.Message

// Bounds implements site.Log.
func (l recorded) Bounds(context.Context) (first, last uint64, err error) {
	return 1, uint64(len(l)), nil
}

// Read implements site.Log.
func (l recorded) Read(_ context.Context, from uint64) (journal.Reader, error) {
	return &recordedReader{l, from}, nil
}

// Purge implements site.Log.
func (l recorded) Purge(context.Context, uint64) error { return nil }

type recordedReader struct {
	log  recorded
	next uint64
}

// Next implements journal.Reader.
func (r *recordedReader) Next(ctx context.Context) (journal.Message, error) {
	if r.next > uint64(len(r.log)) {
		<-ctx.Done()
		return journal.Message{}, ctx.Err()
	}
	r.next++
	return r.log[r.next-2], nil
}

// Close implements journal.Reader.
func (r *recordedReader) Close() {}

// standing is an ownership that nobody contests and that writes nothing.
type standing struct{ token uint64 }

func (o standing) Token() uint64                                             { return o.token }
func (o standing) Lost() <-chan struct{}                                     { return nil }
func (o standing) Err() error                                                { return nil }
func (o standing) Activate(context.Context) error                            { return nil }
func (o standing) Refence(context.Context) (uint64, error)                   { return o.token, nil }
func (o standing) Observe(journal.Barrier)                                   {}
func (o standing) Publish(context.Context, []journal.Record) (uint64, error) { return o.token, nil }
