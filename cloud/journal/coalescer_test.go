package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

func memWithBarrier(t *testing.T, cfg journaltest.Config) *journaltest.Mem {
	t.Helper()
	var m *journaltest.Mem
	fault := cfg.Fault
	cfg.Fault = func(s journaltest.Step) journaltest.Fault {
		if s.Kind == journaltest.PublishBarrier || fault == nil {
			return journaltest.None
		}
		return fault(s)
	}
	m = journaltest.NewMem(cfg)
	if _, err := m.Log(0).PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		t.Fatal(err)
	}
	return m
}

func gateway(name, body string) journal.Record {
	return journal.Record{Kind: journal.KindFrame, Origin: "hq/" + name, Site: "hq", Body: []byte(body)}
}

// messages returns what the log holds after its barrier.
func messages(t *testing.T, m *journaltest.Mem) []journal.Message {
	t.Helper()
	_, last, err := m.Log(0).Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Log(0).Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var all []journal.Message
	for range last {
		msg, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, msg)
	}
	return all[1:]
}

func TestQueuedRecordsShareOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memWithBarrier(t, journaltest.Config{Sync: 10 * time.Millisecond})
		c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{Flushers: 1}, quiet(), nil)
		var seqs []uint64
		body := []byte("0")
		for i := range 100 {
			body[0] = byte(i)
			rec := gateway("gw", string(body))
			if err := c.Append(0, "gw", rec, func(seq uint64, err error) {
				if err != nil {
					t.Error(err)
				}
				seqs = append(seqs, seq)
			}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the first is in flight, the others queue behind it
		}
		if c.Lag() == 0 {
			t.Fatal("no lag although nothing is durable")
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := messages(t, m)
		if len(all) != 2 || len(all[0].Records) != 1 || len(all[1].Records) != 99 {
			t.Fatalf("%d messages", len(all))
		}
		for i, r := range all[1].Records {
			if r.Body[0] != byte(i+1) {
				t.Fatalf("record %d holds %d", i, r.Body[0])
			}
		}
		if len(seqs) != 100 || seqs[0] != 2 || seqs[99] != 3 || c.Lag() != 0 {
			t.Fatalf("done %v, lag %d", seqs, c.Lag())
		}
	})
}

// I2: done comes after the record is in the log and synced, never before.
func TestARecordIsDoneOnlyAfterItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memWithBarrier(t, journaltest.Config{Sync: 10 * time.Millisecond})
		c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{}, quiet(), nil)
		survived := make(chan int, 1)
		if err := c.Append(0, "gw", gateway("gw", "a"), func(uint64, error) {
			m.Crash()
			survived <- len(messages(t, m))
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Millisecond)
		synctest.Wait()
		if len(survived) != 0 {
			t.Fatal("done before the sync had ended")
		}
		if n := <-survived; n != 1 {
			t.Fatalf("%d messages survived a power cut in done", n)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// First occurrences of each gateway are in order whatever answers get lost;
// duplicates are allowed, and everything that was done is there.
func TestALostAnswerNeverReordersAGateway(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			m := memWithBarrier(t, journaltest.Config{
				Sync:  time.Millisecond,
				Fault: journaltest.Seeded(seed, journaltest.Rates{Fail: 0.1, LostAck: 0.1, LostMessage: 0.1, Late: 0.1}),
			})
			reg := prometheus.NewRegistry()
			c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{BatchBytes: 100}, quiet(), reg)
			const gateways, each = 5, 30
			doneCount := 0
			counted := make(chan struct{}, gateways*each)
			for i := range each {
				for g := range gateways {
					name := fmt.Sprintf("gw%d", g)
					if err := c.Append(0, name, gateway(name, fmt.Sprintf("%03d", i)), func(_ uint64, err error) {
						if err == nil {
							counted <- struct{}{}
						}
					}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Millisecond)
			}
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // what is late arrives
			next := map[string]int{}
			for _, msg := range messages(t, m) {
				for _, r := range msg.Records {
					var n int
					if _, err := fmt.Sscanf(string(r.Body), "%d", &n); err != nil {
						t.Fatal(err)
					}
					if n > next[r.Origin] {
						t.Fatalf("seed %d: %s: %d came before %d", seed, r.Origin, n, next[r.Origin])
					}
					next[r.Origin] = max(next[r.Origin], n+1)
				}
			}
			doneCount = len(counted)
			for g, n := range next {
				if n != each {
					t.Fatalf("seed %d: %s ends at %d", seed, g, n)
				}
			}
			if doneCount != gateways*each || len(next) != gateways {
				t.Fatalf("seed %d: %d done, %d gateways", seed, doneCount, len(next))
			}
			if stalled(t, reg) != 0 {
				t.Fatalf("seed %d: a flusher counts as stalled after the end", seed)
			}
		})
	}
}

func stalled(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	return metric(t, reg, "atrium_journal_stalled_flushers")
}

// metric returns the value of a gauge or counter, of all its children.
func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// I5: the queue is bounded in bytes and in records; a refused record was not
// taken, and the queue takes records again once it has drained.
func TestAFullQueueRefusesAndRecovers(t *testing.T) {
	for name, cfg := range map[string]journal.CoalescerConfig{
		"bytes":   {Flushers: 1, QueueBytes: 1000},
		"records": {Flushers: 1, QueueRecords: 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var frozen atomic.Bool
				frozen.Store(true)
				m := memWithBarrier(t, journaltest.Config{Fault: func(journaltest.Step) journaltest.Fault {
					if frozen.Load() {
						return journaltest.Fail // a full disk
					}
					return journaltest.None
				}})
				reg := prometheus.NewRegistry()
				c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, cfg, quiet(), reg)
				taken, done := 0, 0
				var err error
				for taken < 1000 {
					if err = c.Append(0, "gw", gateway("gw", "0123456789"), func(uint64, error) { done++ }); err != nil {
						break
					}
					taken++
				}
				if !errors.Is(err, journal.ErrBusy) || taken < 6 || taken > 100 || c.Lag() > 1000 {
					t.Fatalf("after %d records of %d bytes: %v", taken, c.Lag(), err)
				}
				synctest.Wait()
				if done != 0 || stalled(t, reg) != 1 {
					t.Fatalf("%d done, %v stalled on a full disk", done, stalled(t, reg))
				}
				frozen.Store(false)
				time.Sleep(time.Minute)
				synctest.Wait()
				if done != taken || c.Lag() != 0 || stalled(t, reg) != 0 {
					t.Fatalf("%d of %d done, %d bytes left", done, taken, c.Lag())
				}
				if n := metric(t, reg, "atrium_journal_busy_total"); n != 1 {
					t.Fatalf("%v refusals counted", n)
				}
				if err := c.Append(0, "gw", gateway("gw", "again"), func(uint64, error) {}); err != nil {
					t.Fatal(err)
				}
				if err := c.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A record larger than the queue's bound still passes when the queue is empty.
func TestAnEmptyQueueTakesAnyRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memWithBarrier(t, journaltest.Config{})
		c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{QueueBytes: 10, BatchBytes: 10}, quiet(), nil)
		done := make(chan error, 1)
		if err := c.Append(0, "gw", gateway("gw", string(make([]byte, journal.MaxBody))), func(_ uint64, err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCloseGivesUpWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memWithBarrier(t, journaltest.Config{Fault: func(journaltest.Step) journaltest.Fault { return journaltest.LostMessage }})
		c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{Flushers: 1, BatchBytes: 1}, quiet(), nil)
		var errs []error
		for range 3 {
			if err := c.Append(0, "gw", gateway("gw", "a"), func(_ uint64, err error) { errs = append(errs, err) }); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("close = %v", err)
		}
		if len(errs) != 3 {
			t.Fatalf("%d of 3 were told", len(errs))
		}
		for _, err := range errs {
			if !errors.Is(err, journal.ErrClosed) {
				t.Fatalf("done(%v), want ErrClosed", err)
			}
		}
		if err := c.Append(0, "gw", gateway("gw", "a"), func(uint64, error) {}); !errors.Is(err, journal.ErrClosed) {
			t.Fatalf("append after close = %v", err)
		}
	})
}

func TestCloseOfAnEmptyCoalescerNeedsNoTime(t *testing.T) {
	m := memWithBarrier(t, journaltest.Config{})
	c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{}, quiet(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Close(ctx); err != nil {
		t.Fatalf("nothing was given up: %v", err)
	}
}

// publisher is a log that answers as it is told.
type publisher func(msg []byte) error

func (p publisher) PublishMessage(_ context.Context, msg []byte) (uint64, error) { return 1, p(msg) }

// A record behind one that was given up would be ahead of it when that comes
// again.
func TestNothingFollowsABatchThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		published := 0
		c := journal.NewCoalescer([]journal.Publisher{publisher(func([]byte) error {
			if published++; published == 1 {
				return journal.ErrClosed
			}
			return nil
		})}, journal.CoalescerConfig{Flushers: 1, BatchBytes: 1}, quiet(), nil)
		var errs []error
		for range 3 {
			if err := c.Append(0, "gw", gateway("gw", "a"), func(_ uint64, err error) { errs = append(errs, err) }); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if published != 1 || len(errs) != 3 || !errors.Is(errs[2], journal.ErrClosed) {
			t.Errorf("%d published, done with %v", published, errs)
		}
		if err := c.Close(t.Context()); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("close = %v, though records were given up", err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("second close = %v", err)
		}
	})
}

func TestABadRecordIsRefusedAtOnce(t *testing.T) {
	m := memWithBarrier(t, journaltest.Config{})
	c := journal.NewCoalescer([]journal.Publisher{m.Log(0)}, journal.CoalescerConfig{}, quiet(), nil)
	rec := gateway("gw", "a")
	rec.Site = "elsewhere"
	if err := c.Append(0, "gw", rec, nil); err == nil {
		t.Error("a foreign site's record was taken")
	}
	if err := c.Append(1, "gw", gateway("gw", "a"), nil); err == nil {
		t.Error("a record for a shard that is not there was taken")
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
