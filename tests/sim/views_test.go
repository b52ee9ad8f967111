package sim

import (
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
)

func TestATwinThatGoesBackIsNoticed(t *testing.T) { // I4
	synctest.Test(t, func(t *testing.T) {
		story := newTrace()
		v := newViews(story)
		show := func(seq uint64, value int64) {
			v.look([]site.Device{{Device: id.Device{Site: "hq", Name: "c1"}, Points: []site.Point{{Point: "count", Held: true, Raw: value, Order: twin.Order{Seq: seq}}}}})
		}
		show(1, 10)
		show(1, 10)
		show(2, 11)
		if c := story.broken(); len(c) > 0 {
			t.Fatal(c)
		}
		show(1, 11)
		show(2, 10)
		if c := story.broken(); len(c) != 2 {
			t.Fatalf("%d complaints, want 2: %v", len(c), c)
		}
	})
}
