package site

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

const (
	kitchen = "kind: room\nname: hq/floor/kitchen\ntitle: Kitchen\ndevices: [t1]\n"
	floor   = "kind: room\nname: hq/floor\ndevices: [t2]\n"
	seconds = "kind: pipeline\nname: hq/seconds\npoints: [count]\nstages:\n- window: {every: 1s}\n"
	above5  = "kind: pipeline\nname: hq/high\nfrom: {rooms: [floor]}\npoints: [count]\nstages:\n- alarm: {of: count, above: 5, severity: warning, text: high}\n"
)

// documentOf is a record that brings a document into force, or takes it away.
func documentOf(kind, name string, revision uint64, text string) journal.Record {
	d := journal.Document{Kind: kind, Name: name, Revision: revision, Deleted: text == "", Text: []byte(text)}
	return ownerOf(journal.KindDocument, "hq", d.Append(nil))
}

// openingNow is opening with the boot's zero now, so that a frame's ticks are
// milliseconds from here on.
func openingNow(gw id.Gateway, r id.Run, boot id.Boot, dev id.Device) []journal.Record {
	recs := opening(gw, r, boot, dev)
	recs[3] = clockOf(gw, r, 1, boot, time.Now().UnixMicro())
	return recs
}

// settled waits until nothing more happens and the shard stands at the log's
// end.
func (l *line) settled() {
	l.t.Helper()
	synctest.Wait()
	_, last, err := l.log.Bounds(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	l.reach(last)
	synctest.Wait()
}

func TestARoomShowsWhatItsMembersSayAlsoAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, h := journaltest.NewMem(journaltest.Config{}), newMemHistory(t)
		l := start(t, mem, h, "a", Config{SnapshotMessages: 3})
		l.documents.put("room", "floor/kitchen", kitchen)
		l.publish(openingNow(gw1, run(1), boot1, dev1)...)
		l.publish(frameOf(gw1, run(1), 1, 1, 1, 7))
		l.documents.put("room", "floor", floor) // its member has spoken before
		l.settled()
		want := []room.Aggregate{{Point: "count", Unit: "1", Kind: 2, Count: 1, Mean: 7, Min: 7, Max: 7, Any: true}}
		check := func(l *line) {
			t.Helper()
			rooms, err := l.shard.Rooms(t.Context(), "hq")
			if err != nil || len(rooms) != 2 {
				t.Fatalf("rooms %+v, %v", rooms, err)
			}
			for _, r := range rooms {
				for i := range r.Aggregates {
					r.Aggregates[i].NewestAt, r.Aggregates[i].Kind = 0, 2
				}
				if r.Live != 1 || !slices.Equal(r.Aggregates, want) {
					t.Fatalf("room %+v, want aggregates %+v", r, want)
				}
			}
			if r := rooms[0]; r.Room.Name != "floor" || !slices.Equal(r.Devices, []string{"t1", "t2"}) {
				t.Fatalf("the floor has not what is in its kitchen: %+v", r)
			}
		}
		check(l)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		second := startWith(t, mem, h, "b", Config{SnapshotEvery: 24 * time.Hour}, l.documents)
		check(second)
		time.Sleep(20 * time.Second) // nobody speaks: a tick record says so
		r, err := second.shard.Room(t.Context(), id.Room{Site: "hq", Name: "floor"})
		if err != nil || r.Live != 0 || len(r.Aggregates) != 0 {
			t.Fatalf("a silent member still counts: %+v, %v", r, err)
		}
	})
}

// A revision takes effect once: the same or an older one, published again by
// whoever did not hear that it was stored, changes nothing.
func TestARevisionThatIsPublishedAgainChangesNothing(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	seq := uint64(0)
	play := func(recs ...journal.Record) {
		seq++
		s.play(t, []journal.Message{{Seq: seq, Time: time.UnixMilli(int64(seq)), Records: recs}})
	}
	play(opening(gw1, run(1), boot1, dev1)...)
	play(documentOf("pipeline", "seconds", 5, seconds))
	play(frameOf(gw1, run(1), 1, 1, 1, 7))
	before := s.bytes()["hq"]
	play(documentOf("pipeline", "seconds", 5, seconds))
	play(documentOf("pipeline", "seconds", 4, above5))
	play(documentOf("pipeline", "seconds", 4, ""))
	if s.bytes()["hq"] != before {
		t.Fatal("a revision that was known changed the site")
	}
	play(documentOf("pipeline", "seconds", 6, seconds+"title: New\n"))
	if p := s.sites["hq"].pipelines.actors["seconds"]; p.state.Revision != 6 || len(p.state.Devices) != 0 || p.state.Count.Rows != 0 {
		t.Fatalf("a new revision did not begin anew: %+v", p.state)
	}
}

// I6: what this program can't read changes nothing, and is not offered again
// and again.
func TestADocumentThatIsNoneLeavesTheFormerInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.documents.put("pipeline", "seconds", seconds)
		l.settled()
		l.documents.put("pipeline", "seconds", seconds+"tomorrow: true\n")
		l.settled()
		l.documents.put("room", "floor", floor)
		l.settled()
		p, err := l.shard.Pipeline(t.Context(), id.Pipeline{Site: "hq", Name: "seconds"})
		if err != nil || p.Revision != 1 {
			t.Fatalf("in force is %+v, %v", p, err)
		}
		if len(l.history.dead) != 1 {
			t.Fatalf("%d dead letters, want 1", len(l.history.dead))
		}
		for _, d := range l.history.dead {
			if !strings.Contains(d.Reason, "hq/seconds:6:1") {
				t.Fatalf("dead letter %q names no place", d.Reason)
			}
		}
	})
}

func TestADocumentThatIsDeletedWhileItIsOnItsWayEndsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		l := start(t, mem, newMemHistory(t), "a", Config{})
		l.documents.put("room", "floor", floor)
		l.settled()
		if err := l.shard.ask(t.Context(), func() { // the owner sees both before it applies the first
			l.documents.put("room", "floor", floor+"title: F\n")
			l.shard.copyDocuments()
			l.documents.put("room", "floor", "")
			l.shard.copyDocuments()
		}); err != nil {
			t.Fatal(err)
		}
		l.settled()
		if rooms, err := l.shard.Rooms(t.Context(), "hq"); err != nil || len(rooms) != 0 {
			t.Fatalf("rooms %+v, %v", rooms, err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// A full site has room for a document once another is gone: an owner that hears
// of both at once takes the other away first.
func TestADocumentTakesThePlaceOfADeletedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		l := start(t, mem, newMemHistory(t), "a", Config{})
		called := func(name string) string { return strings.Replace(seconds, "hq/seconds", "hq/"+name, 1) }
		for i := range uint64(pipeline.MaxPipelines) {
			l.documents.put("pipeline", "p"+itoa(i), called("p"+itoa(i)))
		}
		l.settled()
		if err := l.shard.ask(t.Context(), func() {
			l.documents.put("pipeline", "p7", "")
			l.documents.put("pipeline", "more", called("more"))
		}); err != nil {
			t.Fatal(err)
		}
		l.settled()
		if _, err := l.shard.Pipeline(t.Context(), id.Pipeline{Site: "hq", Name: "more"}); err != nil || len(l.history.dead) != 0 {
			t.Fatalf("%v; dead letters %+v", err, l.history.dead)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// What changed while the shard had no owner, the next one finds.
func TestANewOwnerPublishesWhatTheCatalogHasAndTheSiteHasNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, h := journaltest.NewMem(journaltest.Config{}), newMemHistory(t)
		l := start(t, mem, h, "a", Config{})
		l.documents.put("room", "floor", floor)
		l.documents.put("pipeline", "seconds", seconds)
		l.settled()
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		l.documents.put("room", "floor", "")
		l.documents.put("room", "floor/kitchen", kitchen)
		second := startWith(t, mem, h, "b", Config{SnapshotEvery: 24 * time.Hour}, l.documents)
		second.settled()
		rooms, err := second.shard.Rooms(t.Context(), "hq")
		if err != nil || len(rooms) != 1 || rooms[0].Room.Name != "floor/kitchen" {
			t.Fatalf("rooms %+v, %v", rooms, err)
		}
		_, last, _ := second.log.Bounds(t.Context())
		time.Sleep(time.Minute)
		if _, now, _ := second.log.Bounds(t.Context()); now != last {
			t.Fatalf("%d records although nothing differs", now-last)
		}
	})
}

// Many documents at once are more than one message of the log can hold.
func TestRecordsOfTheOwnerAreSplitIntoMessagesThatTheLogTakes(t *testing.T) {
	recs := make([]journal.Record, 40)
	for i := range recs {
		recs[i] = documentOf("room", fmt.Sprint("r", i), 1, strings.Repeat("#", journal.MaxText-100))
	}
	n := 0
	for left := recs; len(left) > 0; n++ {
		part := fitting(left)
		if size := len(journal.AppendMessage(nil, part)); len(part) == 0 || size > journal.MaxMessage {
			t.Fatalf("a message of %d records has %d bytes", len(part), size)
		}
		left = left[len(part):]
	}
	if n != 3 {
		t.Fatalf("%d messages for 40 records of 64 KiB", n)
	}
}

func TestWindowsCloseByTickRecordsAndLateRowsAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.documents.put("pipeline", "seconds", seconds)
		l.settled()
		l.publish(openingNow(gw1, run(1), boot1, dev1)...)
		l.publish(frameOf(gw1, run(1), 1, 1, 100, 1, 2, 3))
		time.Sleep(9 * time.Second) // nothing comes: only a tick can close it
		l.settled()
		if len(l.history.windows) != 1 {
			t.Fatalf("%d windows after a tick was due: %+v", len(l.history.windows), l.history.windows)
		}
		l.publish(frameOf(gw1, run(1), 2, 1, 50, 9))
		l.settled()
		var all pipeline.Partial
		for _, w := range l.history.windows {
			if w.Pipeline != "seconds" || w.Device != "t1" || w.End-w.Start != 1_000_000 || w.Revision != 1 {
				t.Errorf("window %+v", w)
			}
			all.Merge(w.Part)
		}
		if len(l.history.windows) != 2 || all.Count != 4 || all.Sum != 15 || all.First != 9 {
			t.Fatalf("%d parts make %+v", len(l.history.windows), all)
		}
		p, err := l.shard.Pipeline(t.Context(), id.Pipeline{Site: "hq", Name: "seconds"})
		if err != nil || p.Count.Rows != 4 || p.Count.Late != 1 || p.Count.Windows != 1 || len(p.Devices) != 1 {
			t.Fatalf("pipeline %+v, %v", p, err)
		}
	})
}

// An alarm belongs to a pipeline's device: both may go, and the log of alarms
// then has its end.
func TestAnAlarmIsRaisedClearedAndEndsWithWhatItWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.documents.put("pipeline", "high", above5)
		l.documents.put("room", "floor/kitchen", kitchen)
		l.documents.put("room", "floor", floor)
		l.settled()
		l.publish(openingNow(gw1, run(1), boot1, dev1)...)
		l.publish(frameOf(gw1, run(1), 1, 1, 1, 4, 6)) // t1 is in the floor, as it is in its kitchen
		l.settled()
		states := func() (s []string) {
			for _, at := range slices.Sorted(maps.Keys(l.history.alarms)) {
				s = append(s, l.history.alarms[at].State.String())
			}
			return s
		}
		alarms := func() int {
			r, err := l.shard.Room(t.Context(), id.Room{Site: "hq", Name: "floor"})
			if err != nil {
				t.Fatal(err)
			}
			sites, err := l.shard.Sites(t.Context())
			if err != nil || sites[0].Alarms != r.Alarms {
				t.Fatalf("%d alarms of the site, %d of the floor", sites[0].Alarms, r.Alarms)
			}
			return r.Alarms
		}
		if got := states(); !slices.Equal(got, []string{"active"}) || alarms() != 1 {
			t.Fatalf("log %v, %d active", got, alarms())
		}
		l.publish(frameOf(gw1, run(1), 2, 1, 10, 5))
		l.settled()
		if got := states(); len(got) != 2 || got[1] != "inactive" || alarms() != 0 {
			t.Fatalf("log %v, %d active", got, alarms())
		}
		l.publish(frameOf(gw1, run(1), 3, 1, 20, 8))
		l.settled()
		l.documents.put("room", "floor/kitchen", "") // nobody reads t1 any more
		l.settled()
		if got := states(); len(got) != 4 || got[3] != "inactive" || alarms() != 0 {
			t.Fatalf("log %v, %d active", got, alarms())
		}
		if all, err := l.shard.Alarms(t.Context(), "hq"); err != nil || len(all) != 0 {
			t.Fatalf("alarms %+v, %v", all, err)
		}
	})
}

// I1: a device that leaves a pipeline and comes back under the same revision
// loses no row of a window and counts none twice.
func TestADeviceThatLeavesAndComesBackKeepsItsWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.documents.put("pipeline", "seconds", "kind: pipeline\nname: hq/seconds\nfrom: {rooms: [floor]}\npoints: [count]\nstages:\n- window: {every: 1s}\n")
		l.documents.put("room", "floor/kitchen", kitchen)
		l.documents.put("room", "floor", floor)
		l.settled()
		l.publish(openingNow(gw1, run(1), boot1, dev1)...)
		l.publish(frameOf(gw1, run(1), 1, 1, 1, 4, 6))
		l.settled()
		l.documents.put("room", "floor/kitchen", "")
		l.settled()
		if n := len(l.history.windows); n == 0 {
			t.Fatal("the open window was dropped with the room")
		}
		l.documents.put("room", "floor/kitchen", kitchen)
		l.settled()
		l.publish(frameOf(gw1, run(1), 2, 1, 1, 9)) // of the same windows
		l.publish(frameOf(gw1, run(1), 3, 1, 60, 1))
		l.settled()
		time.Sleep(time.Minute) // the last window's tick
		l.settled()
		all := pipeline.Partial{}
		for _, w := range l.history.windows {
			all.Merge(w.Part)
		}
		if all.Count != 4 || all.Sum != 20 {
			t.Fatalf("%d rows with the sum %v, want 4 with 20: %+v", all.Count, all.Sum, l.history.windows)
		}
	})
}

// I5: a turn of the largest site stays below the group's limit, however many
// rooms each of its devices is in.
func TestATickThatSilencesAFullSiteIsOneTurn(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	devices := make([]string, MaxDevices)
	for i := range devices {
		devices[i] = fmt.Sprintf("d%05d", i)
	}
	st, err := newSite("hq", s.actors, &s.marks, &s.work)
	if err != nil {
		t.Fatal(err)
	}
	s.sites["hq"] = st
	for _, d := range devices {
		st.addTwin(d, &twin.State{Liveness: twin.Live, Silence: 1})
	}
	text := "\ndevices: ["
	for line := range slices.Chunk(devices, 64) {
		text += "\n  " + strings.Join(line, ", ") + ","
	}
	text += "]\n"
	name, recs := "", []journal.Record(nil)
	for i := range id.MaxDepth {
		name = strings.TrimPrefix(name+"/r", "/")
		doc := "kind: room\nname: hq/" + name
		if i == id.MaxDepth-1 {
			// A document of all devices is larger than a record may be.
			if _, err := st.putRoom(journal.Document{Kind: "room", Name: name, Text: []byte(doc + text)}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		recs = append(recs, documentOf("room", name, uint64(i+1), doc+"\n"))
	}
	for _, room := range st.rooms.plan.Rooms() {
		st.redefine(room).take()
	}
	recs = append(recs, ownerOf(journal.KindTick, "hq", journal.AppendTick(nil)))
	s.play(t, []journal.Message{{Seq: 1, Time: time.UnixMilli(1), Records: recs}})
	st = s.sites["hq"]
	if got := st.summary(); got.Silent != MaxDevices {
		t.Fatalf("%d of %d devices fell silent", got.Silent, MaxDevices)
	}
	if r := st.rooms.actors["r"].view(); r.Live != 0 || len(r.Devices) != MaxDevices {
		t.Fatalf("the outermost room has %d of %d live", r.Live, len(r.Devices))
	}
}

// A frame that makes a pipeline fail is taken out for all of the site: twins,
// rooms and pipelines are as before it, and go on behind it.
func TestAFrameThatFailsAPipelineIsTakenOutWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{SnapshotMessages: 4})
		l.documents.put("pipeline", "seconds", seconds)
		l.documents.put("room", "floor/kitchen", kitchen)
		l.settled()
		l.publish(openingNow(gw1, run(1), boot1, dev1)...)
		l.frames(1, 6)
		l.settled()
		if err := l.shard.ask(t.Context(), func() { l.shard.sites["hq"].pipelines.actors["seconds"].def = nil }); err != nil {
			t.Fatal(err)
		}
		l.frames(7, 9)
		l.settled()
		if got := l.history.reasons(); !slices.Equal(got, []string{"skipped 7..7"}) {
			t.Fatalf("ledger %v", got)
		}
		p, err := l.shard.Pipeline(t.Context(), id.Pipeline{Site: "hq", Name: "seconds"})
		if err != nil || p.Count.Rows != 8 {
			t.Fatalf("the pipeline read %d rows, want 8 (%v)", p.Count.Rows, err)
		}
		r, err := l.shard.Room(t.Context(), id.Room{Site: "hq", Name: "floor/kitchen"})
		if err != nil || r.Aggregates[0].Max != 9 {
			t.Fatalf("room %+v, %v", r, err)
		}
		_ = l.stop()
		second := startWith(t, l.mem, l.history, "b", Config{}, l.documents)
		if p, err := second.shard.Pipeline(t.Context(), p.Pipeline); err != nil || p.Count.Rows != 8 {
			t.Fatalf("replayed, the pipeline read %d rows (%v)", p.Count.Rows, err)
		}
	})
}

func TestAViewOfWhatIsNotThereIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.settled()
		ctx := t.Context()
		_, room := l.shard.Room(ctx, id.Room{Site: "hq", Name: "attic"})
		_, pipe := l.shard.Pipeline(ctx, id.Pipeline{Site: "hq", Name: "none"})
		_, command := l.shard.Command(ctx, "hq", id.Command{1})
		_, site := l.shard.Alarms(ctx, "lab")
		for _, err := range []error{room, pipe, command, site} {
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("%v", err)
			}
		}
	})
}
