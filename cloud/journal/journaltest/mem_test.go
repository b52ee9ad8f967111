package journaltest_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func harness(m *journaltest.Mem) journaltest.Harness {
	return journaltest.Harness{
		Log: m.Log(0), Objects: m.Objects(0), KV: m.KV("test"),
		Crash: func() journaltest.Harness { m.Crash(); return harness(m) },
	}
}

func TestTheDoubleKeepsTheContractOfTheLog(t *testing.T) {
	for _, c := range journaltest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.Run(t, harness(journaltest.NewMem(journaltest.Config{Sync: time.Millisecond})))
			})
		})
	}
}

func TestTheDoubleKeepsTheContractOfTheBus(t *testing.T) {
	for _, c := range journaltest.BusCases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := journaltest.NewBus()
				c.Run(t, journaltest.BusHarness{Here: b.Node("a"), There: b.Node("b")})
			})
		})
	}
}

// I2: the contract would notice a store that acks before it syncs.
func TestALazySyncFailsTheContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := journaltest.NewMem(journaltest.Config{LazySync: true})
		if err := journaltest.AckedSurvivesCrash(t.Context(), harness(m)); err == nil {
			t.Fatal("acked messages survived a power cut although nothing was synced")
		}
	})
}

func TestEachFaultDoesWhatItSays(t *testing.T) {
	for _, c := range []struct {
		fault  journaltest.Fault
		want   error
		stored bool // after everything has settled
	}{
		{journaltest.None, nil, true},
		{journaltest.Fail, nil, false},
		{journaltest.LostAck, journal.ErrAmbiguous, true},
		{journaltest.LostMessage, journal.ErrAmbiguous, false},
		{journaltest.Late, journal.ErrAmbiguous, true},
		{journaltest.CrashBefore, journal.ErrClosed, false},
		{journaltest.CrashAfter, journal.ErrClosed, true},
	} {
		t.Run(fmt.Sprint(c.fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := journaltest.NewMem(journaltest.Config{
					Sync: time.Millisecond,
					Fault: func(s journaltest.Step) journaltest.Fault {
						if s.N == 2 {
							return c.fault
						}
						return journaltest.None
					},
				})
				if _, err := m.Log(0).PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
					t.Fatal(err)
				}
				_, err := m.Log(0).Publish(t.Context(), []journal.Record{journaltest.GatewayRecord("a")})
				if c.want != nil && !errors.Is(err, c.want) || (c.fault == journaltest.None) != (err == nil) {
					t.Fatalf("publish = %v, want %v", err, c.want)
				}
				time.Sleep(time.Minute)
				_, last, err := m.Log(0).Bounds(t.Context())
				if err != nil || (last == 2) != c.stored {
					t.Fatalf("last = %d, %v, want it stored: %v", last, err, c.stored)
				}
			})
		})
	}
}

// A power cut during a sync keeps the whole message or none of it, and never
// lets its publisher believe that it was stored.
func TestAMessageMidwayIsKeptWholeOrLostWhole(t *testing.T) {
	kept := 0
	const seeds = 40
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			m := journaltest.NewMem(journaltest.Config{Sync: time.Second, Seed: seed})
			if _, err := m.Log(0).PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
				t.Fatal(err)
			}
			recs := []journal.Record{journaltest.GatewayRecord("a"), journaltest.GatewayRecord("b")}
			ended := make(chan error)
			l := m.Log(0)
			go func() {
				_, err := l.Publish(t.Context(), recs)
				ended <- err
			}()
			synctest.Wait()
			m.Crash()
			if err := <-ended; !errors.Is(err, journal.ErrClosed) {
				t.Fatalf("the publish that the cut struck: %v", err)
			}
			_, last, err := m.Log(0).Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if last == 1 {
				return
			}
			kept++
			r, err := m.Log(0).Read(t.Context(), 2)
			if err != nil {
				t.Fatal(err)
			}
			if msg, err := r.Next(t.Context()); err != nil || len(msg.Records) != 2 {
				t.Fatalf("half a batch: %+v, %v", msg, err)
			}
		})
	}
	if kept == 0 || kept == seeds {
		t.Fatalf("%d of %d were kept: the seeds do not cover both", kept, seeds)
	}
}

// A store that was put back has what the image holds and nothing else; handles
// from before are dead, and the image stays as it was.
func TestAStoreThatWasPutBackGoesOnFromItsImage(t *testing.T) {
	m := journaltest.NewMem(journaltest.Config{})
	ctx := t.Context()
	if _, err := m.Log(0).PublishBarrier(ctx, 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		t.Fatal(err)
	}
	rev, err := m.KV("b").Put(ctx, "k", []byte("old"), 0)
	if err != nil {
		t.Fatal(err)
	}
	image := m.Copy()
	for range 2 {
		log := m.Log(0)
		if seq, err := log.Publish(ctx, []journal.Record{journaltest.GatewayRecord("new")}); err != nil || seq != 2 {
			t.Fatalf("published at %d, %v", seq, err)
		}
		if _, err := m.KV("b").Put(ctx, "k", []byte("new"), rev); err != nil {
			t.Fatal(err)
		}
		if err := m.Objects(0).Put(ctx, "o", []byte("new")); err != nil {
			t.Fatal(err)
		}
		m.Put(image)
		if _, err := log.Publish(ctx, []journal.Record{journaltest.GatewayRecord("late")}); !errors.Is(err, journal.ErrClosed) {
			t.Fatalf("a handle from before: %v", err)
		}
		if _, last, err := m.Log(0).Bounds(ctx); err != nil || last != image.Last(0) || last != 1 {
			t.Fatalf("the log ends at %d, %v", last, err)
		}
		if e, err := m.KV("b").Get(ctx, "k"); err != nil || string(e.Value) != "old" || e.Revision != rev {
			t.Fatalf("the document is %+v, %v", e, err)
		}
		if _, err := m.Objects(0).Get(ctx, "o"); !errors.Is(err, journal.ErrNotFound) {
			t.Fatalf("the object: %v", err)
		}
	}
}
