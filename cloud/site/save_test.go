package site

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

func TestASaveMakesDurableWhatIsAppliedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		if seq, err := l.shard.Save(t.Context()); seq != 0 || err != nil {
			t.Fatalf("an empty shard: %d, %v", seq, err)
		}
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		last := l.frames(1, 3)
		l.reach(last)
		seq, err := l.shard.Save(t.Context())
		if seq < last || err != nil {
			t.Fatalf("saved up to %d, %v; message %d is applied", seq, err, last)
		}
		if _, err := l.mem.Objects(0).Get(t.Context(), manifestName(seq)); err != nil {
			t.Fatalf("the manifest is not there: %v", err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.shard.Save(t.Context()); !errors.Is(err, ErrEnded) {
			t.Fatalf("after the end: %v", err)
		}
	})
}

// I6: who hands a shard over must not believe that it is safe.
func TestASaveThatFailsSaysSo(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	s.objects = hooked{Objects: journaltest.NewMem(journaltest.Config{}).Objects(0)}
	full := errors.New("the bucket is full")
	answer := make(chan save, 1)
	s.savers = append(s.savers, answer)
	s.stored(&snapshotJob{manifest: &manifest{Seq: 9}, err: full})
	if a := <-answer; !errors.Is(a.err, full) || a.seq != 0 {
		t.Fatalf("answer %+v", a)
	}
	s.savers = append(s.savers, answer)
	s.stored(&snapshotJob{manifest: &manifest{Seq: 9}, kept: true, err: journal.ErrAmbiguous}) // of the purge behind it
	if a := <-answer; a.err != nil || a.seq != 9 {
		t.Fatalf("answer %+v although the snapshot is durable", a)
	}
}
