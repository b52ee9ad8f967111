package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// AckedSurvivesCrash protects I2: it stores in log, objects and documents,
// crashes, and reports what was acked and is gone or changed.
func AckedSurvivesCrash(ctx context.Context, h Harness) error {
	token, err := h.Log.PublishBarrier(ctx, 0, barrierOf(1, "n1"))
	if err != nil {
		return err
	}
	var acked []string
	for i := range 50 {
		body := fmt.Sprintf("acked %d", i)
		if _, err := h.Log.Publish(ctx, []journal.Record{GatewayRecord(body)}); err != nil {
			return err
		}
		acked = append(acked, body)
	}
	object := bytes.Repeat([]byte("snapshot"), 40_000) // several chunks
	if err := h.Objects.Put(ctx, "site.hq.1", object); err != nil {
		return err
	}
	rev, err := h.KV.Put(ctx, "shard.0", []byte("owner"), 0)
	if err != nil {
		return err
	}

	h = h.Crash()

	all, err := readAll(ctx, h.Log, 1)
	if err != nil {
		return fmt.Errorf("after the crash: %w", err)
	}
	if len(all) != len(acked)+1 {
		return fmt.Errorf("%d messages after the crash, %d were acked", len(all), len(acked)+1)
	}
	for i, body := range acked {
		if got := string(all[i+1].Records[0].Body); got != body {
			return fmt.Errorf("message %d is %q after the crash, %q was acked", i+2, got, body)
		}
	}
	if got, err := h.Objects.Get(ctx, "site.hq.1"); err != nil || !bytes.Equal(got, object) {
		return fmt.Errorf("the object after the crash: %d bytes, %w", len(got), errors.Join(err, errors.New("differs")))
	}
	if e, err := h.KV.Get(ctx, "shard.0"); err != nil || string(e.Value) != "owner" || e.Revision != rev {
		return fmt.Errorf("the document after the crash: %+v, %w", e, errors.Join(err, errors.New("differs")))
	}
	if _, err := h.Log.PublishFenced(ctx, token, []journal.Record{ownerRecord()}); err != nil {
		return fmt.Errorf("the fence after the crash: %w", err)
	}
	return nil
}

func objectsWhole(t *testing.T, h Harness) {
	ctx, o := t.Context(), h.Objects
	_, err := o.Get(ctx, "none")
	wantIs(t, "get of nothing", err, journal.ErrNotFound)
	if all, err := o.List(ctx); err != nil || len(all) != 0 {
		t.Fatalf("empty bucket lists %v, %v", all, err)
	}
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	for name, data := range map[string][]byte{"manifest.9": []byte("m"), "site.hq.9": big, "empty": {}} {
		if err := o.Put(ctx, name, data); err != nil {
			t.Fatal(err)
		}
		if got, err := o.Get(ctx, name); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%s came back with %d bytes, %v", name, len(got), err)
		}
	}
	if err := o.Put(ctx, "manifest.9", []byte("replaced")); err != nil {
		t.Fatal(err)
	}
	if got, err := o.Get(ctx, "manifest.9"); err != nil || string(got) != "replaced" {
		t.Fatalf("replaced object is %q, %v", got, err)
	}
	for range 2 {
		if err := o.Delete(ctx, "site.hq.9"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = o.Get(ctx, "site.hq.9")
	wantIs(t, "get of a deleted object", err, journal.ErrNotFound)
	all, err := o.List(ctx)
	names := map[string]uint64{}
	for _, i := range all {
		names[i.Name] = i.Size
	}
	if err != nil || len(names) != 2 || names["manifest.9"] != 8 {
		t.Fatalf("list = %v, %v", all, err)
	}
}

func documentsCAS(t *testing.T, h Harness) {
	ctx, k := t.Context(), h.KV
	_, err := k.Get(ctx, "shard.0")
	wantIs(t, "get of nothing", err, journal.ErrNotFound)
	rev, err := k.Put(ctx, "shard.0", []byte("a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Put(ctx, "shard.0", []byte("b"), 0)
	wantIs(t, "create of what exists", err, journal.ErrConflict)
	next, err := k.Put(ctx, "shard.0", []byte("c"), rev)
	if err != nil || next <= rev {
		t.Fatalf("update = %d, %v", next, err)
	}
	_, err = k.Put(ctx, "shard.0", []byte("d"), rev)
	wantIs(t, "update of an old revision", err, journal.ErrConflict)
	if e, err := k.Get(ctx, "shard.0"); err != nil || string(e.Value) != "c" || e.Revision != next {
		t.Fatalf("get = %+v, %v", e, err)
	}
	if _, err := k.Put(ctx, "big", make([]byte, journal.MaxValue+1), 0); err == nil {
		t.Fatal("a document over the limit was accepted")
	}
	if keys, err := k.Keys(ctx); err != nil || !slices.Equal(keys, []string{"shard.0"}) {
		t.Fatalf("keys = %v, %v", keys, err)
	}
}

func documentsDelete(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	k := h.KV
	rev, err := k.Put(ctx, "doc.room.hq/hall", []byte("a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	entries, ready, ended := make(chan journal.Entry, 8), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- k.Watch(ctx, func(e journal.Entry) { entries <- e }, func() { close(ready) })
	}()
	<-ready
	<-entries
	for _, stale := range []uint64{0, rev + 1} {
		wantIs(t, "delete at another revision", k.Delete(ctx, "doc.room.hq/hall", stale), journal.ErrConflict)
	}
	if err := k.Delete(ctx, "doc.room.hq/hall", rev); err != nil {
		t.Fatal(err)
	}
	if e := <-entries; e.Value != nil || e.Revision <= rev || e.Key != "doc.room.hq/hall" {
		t.Fatalf("the watch of a deletion gives %+v", e)
	}
	_, err = k.Get(ctx, "doc.room.hq/hall")
	wantIs(t, "get of a deleted key", err, journal.ErrNotFound)
	wantIs(t, "delete of a deleted key", k.Delete(ctx, "doc.room.hq/hall", rev), journal.ErrConflict)
	if keys, err := k.Keys(ctx); err != nil || len(keys) != 0 {
		t.Fatalf("keys = %v, %v", keys, err)
	}
	again, err := k.Put(ctx, "doc.room.hq/hall", []byte("b"), 0)
	if err != nil || again <= rev {
		t.Fatalf("put after a deletion = %d, %v", again, err)
	}
	cancel()
	wantIs(t, "the watch's end", <-ended, context.Canceled)
}

func watchGives(t *testing.T, h Harness) {
	for _, key := range []string{"a", "b"} {
		if _, err := h.KV.Put(t.Context(), key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	entries, ready, ended := make(chan journal.Entry, 8), make(chan int, 1), make(chan error, 1)
	go func() {
		ended <- h.KV.Watch(ctx, func(e journal.Entry) { entries <- e }, func() { ready <- len(entries) })
	}()
	if n := <-ready; n != 2 {
		t.Fatalf("ready after %d entries, want 2", n)
	}
	if _, err := h.KV.Put(t.Context(), "c", []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for range 3 {
		e := <-entries
		got[e.Key] = string(e.Value)
	}
	if len(got) != 3 || got["c"] != "new" {
		t.Fatalf("watched %v", got)
	}
	cancel()
	wantIs(t, "the watch's end", <-ended, context.Canceled)
}
