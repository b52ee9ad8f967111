package catalog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/journal"
)

// A store that was put back begins an incarnation above all that it may have had,
// also above one that the backup does not know of. Protects I3.
func TestARestoredStoreBeginsAnIncarnation(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		before := open(t, four, kv)
		defer before.Close()
		if got := before.Cluster().Incarnation; got != 1 {
			t.Fatalf("a new cluster is of incarnation %d", got)
		}
		restored := four
		restored.Restored = true
		began := uint64(time.Now().Unix())
		first := open(t, restored, kv)
		defer first.Close()
		if got := first.Cluster().Incarnation; got < began || got < 2 {
			t.Fatalf("restored, the cluster is of incarnation %d, want %d or more", got, began)
		}
		second := open(t, restored, kv) // another node whose folder was put back as well
		defer second.Close()
		after := open(t, four, kv)
		defer after.Close()
		if a, b, c := first.Cluster(), second.Cluster(), after.Cluster(); b.Incarnation <= a.Incarnation || c != b || c.ID != "c1" || c.Shards != 4 {
			t.Fatalf("one after the other: %+v, %+v, then %+v", a, b, c)
		}
		<-before.Superseded() // or the test hangs
		<-first.Superseded()
		select {
		case <-after.Superseded():
			t.Fatal("a node of the present incarnation is to start again")
		default:
		}
	})
}

// unsure is a bucket that stores the next document and does not say so, or lets
// another write first.
type unsure struct {
	bucket
	errs []error
}

func (u *unsure) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if len(u.errs) == 0 {
		return u.bucket.Put(ctx, key, value, revision)
	}
	err := u.errs[0]
	u.errs = u.errs[1:]
	if errors.Is(err, journal.ErrAmbiguous) {
		_, _ = u.bucket.Put(ctx, key, value, revision)
	}
	return 0, err
}

func TestARaiseWithoutAnAnswerIsRepeatedAndAFailedOneEndsTheStart(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		before := open(t, four, kv)
		before.Close()
		restored := four
		restored.Restored = true
		c, err := catalog.Open(t.Context(), restored, &unsure{kv, []error{journal.ErrConflict, journal.ErrAmbiguous}}, quiet(), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if c.Cluster().Incarnation < 2 {
			t.Fatalf("%+v", c.Cluster())
		}
		full := errors.New("no space left on device")
		if _, err := catalog.Open(t.Context(), restored, &unsure{kv, []error{full}}, quiet(), nil); !errors.Is(err, full) {
			t.Fatalf("opened although the incarnation was not raised: %v", err)
		}
	})
}
