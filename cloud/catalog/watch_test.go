package catalog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// cut is a bucket whose watch can be broken, and that has long forgotten what
// was deleted when the next one begins.
type cut struct {
	*journaltest.KV
	broken context.CancelFunc // of the watch that runs
	mended chan struct{}      // a watch begins once it is closed
}

func (k *cut) Watch(ctx context.Context, each func(journal.Entry), ready func()) error {
	select {
	case <-k.mended:
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, k.broken = context.WithCancel(ctx)
	complete := false
	return k.KV.Watch(ctx, func(e journal.Entry) {
		if complete || e.Value != nil {
			each(e)
		}
	}, func() {
		complete = true
		ready()
	})
}

// A watch that was broken for longer than the bucket remembers deletes shows
// them by what it does not show.
func TestADeleteWhileTheWatchWasBrokenIsLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
		mended := make(chan struct{})
		close(mended)
		far := &cut{KV: kv, mended: mended}
		c, err := catalog.Open(t.Context(), four, far, quiet(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		apply(t, c, hq)
		apply(t, c, kitchen)
		stays := apply(t, c, roomOf("hall"))
		changed := c.Changed()
		far.mended = make(chan struct{})
		far.broken()

		near := open(t, four, kv)
		defer near.Close()
		if err := near.Remove(t.Context(), document.Room, "hq/kitchen", catalog.Any); err != nil {
			t.Fatal(err)
		}
		time.Sleep(48 * time.Hour)
		if _, known := c.Document(document.Room, "hq/kitchen"); !known {
			t.Fatal("the watch was not broken")
		}
		close(far.mended)
		<-changed
		synctest.Wait()
		if all := c.Of("hq"); len(all) != 1 || all[0].Revision != stays.Revision {
			t.Fatalf("of hq: %+v", all)
		}
		if err := c.Remove(t.Context(), document.Room, "hq/kitchen", catalog.Any); !errors.Is(err, catalog.ErrNoDocument) {
			t.Fatal(err)
		}
	})
}
