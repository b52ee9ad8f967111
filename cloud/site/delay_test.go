package site

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheDelayIsHowLongTheEndOfTheLogWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d delay
		want := func(w time.Duration) {
			t.Helper()
			if got := d.now(); got != w {
				t.Errorf("delay %v, want %v", got, w)
			}
		}
		d.ended(0) // an empty log
		want(0)
		d.applied(7)
		time.Sleep(time.Hour) // nothing comes
		d.ended(7)
		want(0)
		d.ended(9)
		time.Sleep(2 * time.Second)
		d.applied(8)
		d.ended(12) // the end before is still waited for
		want(2 * time.Second)
		time.Sleep(time.Second)
		d.applied(9)
		want(3 * time.Second)
		d.ended(12)
		time.Sleep(time.Second)
		want(3 * time.Second)
		d.applied(12)
		want(time.Second)
	})
}
