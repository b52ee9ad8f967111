package journal_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
)

const syncTime = 10 * time.Millisecond

func of(site id.Site, body int) journal.Record {
	return journal.Record{Kind: journal.KindFrame, Origin: string(site) + "/gw", Site: site, Body: make([]byte, body)}
}

// quietWaits are the longest times that records of nine quiet sites took to be
// durable, a record of 1 KB each every 50 ms for 2 s, beside a tenth that floods
// if it may; and how often they were refused.
func quietWaits(t *testing.T, floods bool) (longest time.Duration, refused int, lagOfFlood int64) {
	synctest.Test(t, func(t *testing.T) {
		m := memWithBarrier(t, journaltest.Config{Sync: syncTime})
		c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{Flushers: 1, BatchBytes: 64 << 10, QueueBytes: 4 << 20}, quiet(), nil)
		for at := time.Duration(0); at < 2*time.Second; at += time.Millisecond {
			for floods {
				if err := c.Append(0, "flood/gw", of("flood", 1000), func(uint64, error) {}); errors.Is(err, journal.ErrBusy) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			lagOfFlood = max(lagOfFlood, c.LagOf(0, "flood"))
			for i := range 9 {
				if at%(50*time.Millisecond) != time.Duration(5*i)*time.Millisecond {
					continue
				}
				site, began := id.Site(fmt.Sprintf("quiet-%d", i)), time.Now()
				if err := c.Append(0, string(site)+"/gw", of(site, 1000), func(uint64, error) { longest = max(longest, time.Since(began)) }); err != nil {
					refused++
				}
				if lag := c.LagOf(0, site); lag > 200<<10 {
					t.Fatalf("%s, which sends little, is told of a lag of %d bytes", site, lag)
				}
			}
			time.Sleep(time.Millisecond)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.LagOf(0, "flood") != 0 || c.Lag() != 0 {
			t.Errorf("an empty queue has lags of %d and %d", c.LagOf(0, "flood"), c.Lag())
		}
	})
	return longest, refused, lagOfFlood
}

// I5: a site that sends as much as is taken costs the others one message in
// flight, and none of their credit.
func TestASiteThatFloodsDoesNotHoldUpOthers(t *testing.T) {
	alone, _, _ := quietWaits(t, false)
	beside, refused, lag := quietWaits(t, true)
	if alone > 2*syncTime || beside > 2*syncTime {
		t.Errorf("quiet sites wait up to %v alone and up to %v beside one that floods, want at most two messages, %v", alone, beside, 2*syncTime)
	}
	if refused > 0 {
		t.Errorf("quiet sites were refused %d times", refused)
	}
	if lag < 8<<20 {
		t.Errorf("the site that floods was told of a lag of %d bytes, which costs it no credit", lag)
	}
}

// A site that has the queue to itself fills messages and most of the queue.
func TestASiteAloneIsHeldBackByNothingButTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memWithBarrier(t, journaltest.Config{Sync: syncTime})
		c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{Flushers: 1, BatchBytes: 64 << 10, QueueBytes: 1 << 20}, quiet(), nil)
		taken := 0
		for c.Append(0, "hq/gw", of("hq", 1000), func(uint64, error) {}) == nil {
			taken++
			synctest.Wait() // the first is in flight
		}
		if taken < 650 || c.LagOf(0, "hq") != c.Lag() {
			t.Errorf("%d records of 1 KB in a queue of 1 MB, lag %d of %d", taken, c.LagOf(0, "hq"), c.Lag())
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := messages(t, m)
		if n := len(all[1].Records); n < 60 || n > 64 {
			t.Errorf("a message holds %d records of 1 KB, 64 KiB were aimed at", n)
		}
	})
}

// I2: however sites and sizes mix, records of a site stay in order, each is done
// once, and nothing stays in the books.
func TestSharesKeepTheOrderOfEachSite(t *testing.T) {
	type step struct{ site, size, pause int }
	draw := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.IntRange(0, 5).Draw(t, "site"), rapid.IntRange(10, 3000).Draw(t, "size"), rapid.SampledFrom([]int{0, 0, 0, 1, 7}).Draw(t, "pause")}
	})
	var plans [][]step
	rapid.Check(t, func(t *rapid.T) { plans = append(plans, rapid.SliceOfN(draw, 1, 300).Draw(t, "appends")) })
	for _, plan := range plans {
		synctest.Test(t, func(t *testing.T) {
			m := memWithBarrier(t, journaltest.Config{Sync: syncTime})
			c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{Flushers: 2, BatchBytes: 4 << 10, QueueBytes: 60 << 10, QueueRecords: 100}, quiet(), nil)
			taken := int64(0)
			var done atomic.Int64 // from two flushers
			next := map[id.Site]byte{}
			for _, a := range plan {
				site := id.Site(fmt.Sprintf("s%d", a.site))
				rec := of(site, a.size)
				rec.Body[0] = next[site]
				if err := c.Append(0, rec.Origin, rec, func(uint64, error) { done.Add(1) }); err == nil {
					next[site]++
					taken++
				}
				time.Sleep(time.Duration(a.pause) * time.Millisecond)
			}
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen := map[id.Site]byte{}
			for _, msg := range messages(t, m) {
				for _, r := range msg.Records {
					if r.Body[0] != seen[r.Site] {
						t.Fatalf("%s: record %d comes where %d should", r.Site, r.Body[0], seen[r.Site])
					}
					seen[r.Site]++
				}
			}
			for site, n := range next {
				if seen[site] != n || c.LagOf(0, site) != 0 {
					t.Fatalf("%s: %d of %d records, %d bytes left", site, seen[site], n, c.LagOf(0, site))
				}
			}
			if done.Load() != taken || c.Lag() != 0 {
				t.Fatalf("%d of %d done, %d bytes left", done.Load(), taken, c.Lag())
			}
		})
	}
}
