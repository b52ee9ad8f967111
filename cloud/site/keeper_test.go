package site

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/wire"
)

// fenceOwner owns a log that takes everything.
type fenceOwner struct {
	noOwner
	published []journal.RecordKind
}

func (o *fenceOwner) Refence(context.Context) (uint64, error) { return 1, nil }

func (o *fenceOwner) Publish(_ context.Context, recs []journal.Record) (uint64, error) {
	for _, r := range recs {
		o.published = append(o.published, r.Kind)
	}
	return 1, nil
}

// hooked is a bucket with something before each call.
type hooked struct {
	Objects
	put  func(name string)
	get  error
	list error
}

func (h hooked) Put(ctx context.Context, name string, data []byte) error {
	if h.put != nil {
		h.put(name)
	}
	return h.Objects.Put(ctx, name, data)
}

func (h hooked) Get(ctx context.Context, name string) ([]byte, error) {
	if h.get != nil {
		return nil, h.get
	}
	return h.Objects.Get(ctx, name)
}

func (h hooked) List(ctx context.Context) ([]journal.Object, error) {
	if h.list != nil {
		return nil, h.list
	}
	return h.Objects.List(ctx)
}

// snapshotOf applies an opening, and makes a snapshot of it.
func snapshotOf(t *testing.T, s *Shard) *snapshotJob {
	t.Helper()
	if err := s.apply(t.Context(), journal.Message{Seq: 1, Time: time.UnixMilli(1), Records: opening(gw1, run(1), boot1, dev1)}); err != nil {
		t.Fatal(err)
	}
	job, err := s.snapshot(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// A reload begins at the last snapshot. If one that is durable did not count
// as such, the purge and sweep of the next would take the one before away.
func TestASnapshotThatIsDurableCountsAlsoIfWhatFollowsFails(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	s.owner = new(fenceOwner)
	s.objects = hooked{Objects: journaltest.NewMem(journaltest.Config{}).Objects(0), list: errors.New("no list")}
	job := snapshotOf(t, s)
	if job.err = s.keeper.keep(t.Context(), job); job.err == nil {
		t.Fatal("the sweep did not fail")
	}
	s.skips[skipKey{"hq", journal.Position{Seq: 1}}] = true
	s.skips[skipKey{"hq", journal.Position{Seq: 2}}] = true
	s.stored(job)
	if len(s.skips) != 1 || !s.skips[skipKey{"hq", journal.Position{Seq: 2}}] { // I5
		t.Fatalf("skips %v: want those above the snapshot", s.skips)
	}
	if st := s.sites["hq"]; s.last != job.manifest || st.dirty || st.object != job.objects[0].entry {
		t.Fatalf("last %v, dirty %t, object %q", s.last, st.dirty, st.object.Object)
	}
}

func TestTheOwnersRecordsDoNotWaitForASnapshot(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	owner := new(fenceOwner)
	s.owner = owner
	var before int
	s.objects = hooked{Objects: journaltest.NewMem(journaltest.Config{}).Objects(0), put: func(name string) {
		if _, ok := manifestSeq(name); ok {
			before = len(owner.published)
			return
		}
		s.keeper.add(journal.Record{Kind: journal.KindTick})
	}}
	if err := s.keeper.keep(t.Context(), snapshotOf(t, s)); err != nil {
		t.Fatal(err)
	}
	if before != 1 {
		t.Fatalf("%d records before the manifest, want the tick", before)
	}
}

// beginsAt is a log that was purged below first.
type beginsAt struct {
	noLog
	first uint64
}

func (l beginsAt) Bounds(context.Context) (first, last uint64, err error) { return l.first, 9, nil }

// I1: a bucket that does not answer is not an empty one. To begin from nothing
// behind a purged log would lose every twin and run, and the next snapshot
// would make it last.
func TestRecoveryStopsAtASnapshotThatCanNotBeRead(t *testing.T) {
	mem := journaltest.NewMem(journaltest.Config{})
	s := offline(t, "node")
	defer s.done()
	s.owner, s.objects = new(fenceOwner), mem.Objects(0)
	if err := s.keeper.keep(t.Context(), snapshotOf(t, s)); err != nil {
		t.Fatal(err)
	}
	silent := errors.New("no answer")
	again := offline(t, "again")
	defer again.done()
	again.objects = hooked{Objects: mem.Objects(0), get: silent}
	again.journal = beginsAt{first: 1}
	if err := again.load(t.Context(), 1); err != nil {
		t.Fatalf("load = %v although the log holds everything", err)
	}
	again.journal = beginsAt{first: 2}
	if err := again.load(t.Context(), 1); !errors.Is(err, silent) {
		t.Fatalf("load = %v with %d sites", err, len(again.sites))
	}
	newer := *s.keeper.manifests[0]
	newer.Version++
	data, err := s.codec.encodeManifest(&newer)
	if err != nil {
		t.Fatal(err)
	}
	other := journaltest.NewMem(journaltest.Config{}).Objects(0)
	if err := other.Put(t.Context(), manifestName(1), data); err != nil {
		t.Fatal(err)
	}
	again.objects = other
	if err := again.load(t.Context(), 1); !errors.Is(err, errUnread) {
		t.Fatalf("load of a newer version = %v", err)
	}
	again.objects = mem.Objects(0)
	if err := again.load(t.Context(), 1); err != nil || again.applied != 1 || again.sites["hq"].gateways["gw1"].gateway.state.Runs[run(1)].Class != wire.Telemetry {
		t.Fatalf("load = %v at %d", err, again.applied)
	}
}
