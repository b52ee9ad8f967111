package site

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// watched begins a watch of the site hq and takes what there is.
func (l *line) watched(sites ...id.Site) (*Watch, chan struct{}) {
	l.t.Helper()
	wake := make(chan struct{}, 1)
	w, err := l.shard.Watch(l.t.Context(), sites, wake)
	if err != nil {
		l.t.Fatal(err)
	}
	return w, wake
}

// told takes all that has changed, in words.
func told(t *testing.T, w *Watch) (all []string) {
	t.Helper()
	for {
		changes, err := w.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			return all
		}
		for i := range changes {
			all = append(all, changes[i].words())
		}
	}
}

func (c *Change) words() string {
	switch {
	case c.Site != nil:
		return fmt.Sprintf("site %s: %d live, %d alarms", c.Site.Site, c.Site.Live, c.Site.Alarms)
	case c.Gateway != nil:
		return "gateway " + c.Gateway.Gateway.String()
	case c.Device != nil && len(c.Device.Points) > 0:
		return fmt.Sprintf("device %s = %d", c.Device.Device, c.Device.Points[0].Raw)
	case c.Device != nil:
		return "device " + c.Device.Device.String()
	case c.Room != nil && len(c.Room.Aggregates) > 0:
		return fmt.Sprintf("room %s: max %g", c.Room.Room, c.Room.Aggregates[0].Max)
	case c.Room != nil:
		return "room " + c.Room.Room.String()
	case c.Alarm != nil:
		return fmt.Sprintf("alarm %s %s: %s", c.Alarm.Pipeline, c.Alarm.Device, c.Alarm.State)
	case c.Command != nil:
		return fmt.Sprintf("command to %s: %s", c.Command.Device, c.Command.Status)
	case c.Gone != nil:
		return fmt.Sprintf("gone %s %s %s", c.Gone.Kind, c.Gone.Name, c.Gone.Device)
	case c.Ready:
		return "ready"
	}
	return "nothing"
}

func TestAWatcherHearsTheWholeStateAndThenEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.documents.put("room", "floor/kitchen", kitchen)
		l.documents.put("room", "floor", floor)
		l.documents.put("pipeline", "high", above5)
		l.settled()
		l.publish(openingNow(gw1, run(1), boot1, dev1)...)
		l.frames(1, 3)
		l.settled()
		w, wake := l.watched()
		want := []string{"site hq: 1 live, 0 alarms", "gateway hq/gw1", "device hq/t1 = 3", "room hq/floor: max 3", "room hq/floor/kitchen: max 3", "ready"}
		if got := told(t, w); !slices.Equal(got, want) {
			t.Fatalf("first told %q", got)
		}
		<-wake
		l.frames(4, 9) // each of them changes everything
		l.settled()
		<-wake
		got := told(t, w)
		slices.Sort(got)
		want = []string{
			"alarm hq/high t1: active", "device hq/t1 = 9", "gateway hq/gw1",
			"room hq/floor/kitchen: max 9", "room hq/floor: max 9", "site hq: 1 live, 1 alarms",
		}
		if !slices.Equal(got, want) {
			t.Fatalf("then told %q", got)
		}
		if _, err := l.shard.Intend(t.Context(), "hq", intentOf(1)); err != nil {
			t.Fatal(err)
		}
		l.settled()
		l.publish(resultOf(gw1, 1, wire.ResultDone))
		l.documents.put("room", "floor", "")
		l.settled()
		got = told(t, w)
		for _, want := range []string{"command to t1: done", "gone room floor ", "gone alarm high t1", "site hq: 1 live, 0 alarms"} {
			if !slices.Contains(got, want) {
				t.Errorf("not told %q but %q", want, got)
			}
		}
		w.Close()
		l.frames(10, 10)
		l.settled()
		if got := told(t, w); len(got) != 0 {
			t.Fatalf("told %q after the end", got)
		}
	})
}

func TestAWatcherOfOneSiteHearsOfNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		w, _ := l.watched("lab")
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		lab := id.Gateway{Site: "lab", Name: "gw1"}
		l.publish(opening(lab, run(2), boot1, id.Device{Site: "lab", Name: "t1"})...)
		l.settled()
		got := told(t, w)
		if slices.Sort(got); !slices.Equal(got, []string{"device lab/t1", "gateway lab/gw1", "ready", "site lab: 0 live, 0 alarms"}) {
			t.Fatalf("told %q", got)
		}
	})
}

// Who rests between changes must not rest while some of the whole state waits;
// and what changes meanwhile must not keep it from resting for ever.
func TestAWatcherIsBehindUntilItHasWhatWaited(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	w := &Watch{shard: s, wake: make(chan struct{}, 1), dirty: make(map[entity]bool)}
	for i := range 2*maxTake + 1 {
		w.add(entity{site: "hq", kind: aDevice, name: fmt.Sprint(i)})
	}
	for i, want := range []bool{true, true, false, false} {
		names, err := w.next()
		if err != nil || len(names) == 0 || w.Behind() != want {
			t.Fatalf("take %d: %d names, behind %v, %v", i, len(names), w.Behind(), err)
		}
		w.add(names[0]) // it changes again at once
	}
}

// I5: who takes nothing costs no more than names, and not of more than a bound.
func TestAWatcherThatFallsTooFarBehindIsEnded(t *testing.T) {
	wake := make(chan struct{}, 1)
	w := &Watch{wake: wake, dirty: make(map[entity]bool)}
	for i := range MaxWatched + 1 {
		w.add(entity{site: "hq", kind: aDevice, name: fmt.Sprint(i)})
		w.add(entity{site: "hq", kind: aDevice, name: fmt.Sprint(i)})
	}
	<-wake
	if _, err := w.Take(t.Context()); !errors.Is(err, ErrBehind) {
		t.Fatal(err)
	}
}

func TestAWatchEndsWithItsShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		w, wake := l.watched()
		told(t, w)
		<-wake
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		<-wake
		if _, err := w.Take(t.Context()); !errors.Is(err, ErrEnded) {
			t.Fatal(err)
		}
		w.Close()
		if _, err := l.shard.Watch(t.Context(), nil, wake); !errors.Is(err, ErrEnded) {
			t.Fatal(err)
		}
	})
}

// What a failed turn had made is no more when the watcher asks for it.
func TestAWatcherIsNotToldOfADeviceThatAFailedTurnMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.documents.put("room", "floor/kitchen", kitchen)
		l.settled()
		w, _ := l.watched()
		told(t, w)
		if err := l.shard.ask(t.Context(), func() { l.shard.sites["hq"].rooms.actors["floor/kitchen"] = nil }); err != nil {
			t.Fatal(err)
		}
		l.publish(opening(gw1, run(1), boot1, dev1)[:2]...) // its room fails on the device
		l.settled()
		got := told(t, w)
		if slices.Sort(got); !slices.Equal(got, []string{"gateway hq/gw1", "room hq/floor/kitchen", "site hq: 0 live, 0 alarms"}) {
			t.Fatalf("told %q", got)
		}
	})
}

func TestAWatcherHearsOfASiteWithItsFirstRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		w, wake := l.watched("hq")
		if got := told(t, w); !slices.Equal(got, []string{"ready"}) {
			t.Fatalf("first told %q", got)
		}
		<-wake
		l.documents.put("room", "floor/kitchen", kitchen)
		<-wake
		l.settled()
		if got := told(t, w); !slices.Equal(got, []string{"site hq: 0 live, 0 alarms", "room hq/floor/kitchen"}) {
			t.Fatalf("then told %q", got)
		}
	})
}
