package snapshottest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/snapshot/snapshottest"
)

var errDisk = errors.New("disk gone")

func TestAFaultyStoreWithoutFaultsIsAStore(t *testing.T) {
	snapshottest.Contract(t, func(*testing.T) snapshottest.Store {
		return snapshottest.NewFaulty(snapshot.NewMemory(snapshot.MaxData * 3 / 2))
	})
}

func TestFaultsMeetTheCallsThatTheyMatch(t *testing.T) {
	ctx := context.Background()
	f := snapshottest.NewFaulty(snapshot.NewMemory(1000),
		snapshottest.Fault{Op: snapshottest.Save, ID: "b", Err: errDisk},
		snapshottest.Fault{Op: snapshottest.Load, Times: 2, Err: errDisk},
	)
	load := func(id string) error {
		_, err := f.Load(ctx, id)
		return err
	}
	for i, step := range []struct{ got, want error }{
		{f.Save(ctx, "a", nil), nil},
		{f.Save(ctx, "b", nil), errDisk},
		{load("b"), errDisk},
		{load("a"), errDisk},
		{load("b"), snapshot.ErrNone},
		{load("a"), nil},
		{f.Save(ctx, "b", nil), nil},
		{f.Delete(ctx, "a"), nil},
	} {
		if !errors.Is(step.got, step.want) {
			t.Errorf("call %d: %v, want %v", i, step.got, step.want)
		}
	}
	want := []snapshottest.Call{{"save", "a"}, {"save", "b"}, {"load", "b"}, {"load", "a"}, {"load", "b"}, {"load", "a"}, {"save", "b"}, {"delete", "a"}}
	if got := f.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
	if f.Unmet() != 0 {
		t.Errorf("%d faults are left", f.Unmet())
	}
}

func TestAFaultThatNoCallMetIsToldOf(t *testing.T) {
	f := snapshottest.NewFaulty(snapshot.NewMemory(1000),
		snapshottest.Fault{Op: snapshottest.Save, Times: 2, Err: errDisk},
		snapshottest.Fault{Op: snapshottest.Load, Times: -1, Err: errDisk},
	)
	if err := f.Save(context.Background(), "a", nil); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if f.Unmet() != 1 {
		t.Errorf("%d faults are left, want the one for a second save", f.Unmet())
	}
}

// A Save may fail and have saved all the same: an fsync after the rename.
func TestACallThatWasDoneAndFailedIsDone(t *testing.T) {
	ctx := context.Background()
	f := snapshottest.NewFaulty(snapshot.NewMemory(1000),
		snapshottest.Fault{Op: snapshottest.Save, Err: errDisk, Done: true},
		snapshottest.Fault{Op: snapshottest.Delete, Err: errDisk},
	)
	if err := errors.Join(f.Save(ctx, "a", []byte("saved")), f.Delete(ctx, "a")); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if data, err := f.Load(ctx, "a"); string(data) != "saved" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestASlowCallTakesItsTimeOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := snapshottest.NewFaulty(snapshot.NewMemory(1000),
			snapshottest.Fault{Delay: time.Minute},
			snapshottest.Fault{Delay: time.Minute},
		)
		if err := f.Save(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := f.Load(t.Context(), "a"); !errors.Is(err, snapshot.ErrNone) {
			t.Errorf("a save that its context ended was done: %v", err)
		}
	})
}

func TestAHeldCallIsMetAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		met, until := make(chan struct{}), make(chan struct{})
		f := snapshottest.NewFaulty(snapshot.NewMemory(1000),
			snapshottest.Fault{Op: snapshottest.Save, Times: 2, Met: met, Until: until})
		saved := make(chan error, 2)
		for range cap(saved) {
			go func() { saved <- f.Save(t.Context(), "a", []byte("late")) }()
		}
		<-met
		if _, err := f.Load(t.Context(), "a"); !errors.Is(err, snapshot.ErrNone) {
			t.Errorf("while a save waits: %v", err)
		}
		close(until)
		if err := errors.Join(<-saved, <-saved); err != nil {
			t.Error(err)
		}
		if data, err := f.Load(t.Context(), "a"); string(data) != "late" {
			t.Errorf("got %q, %v", data, err)
		}
	})
}
