package buffertest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// Medium is what a store lies on.
type Medium interface {
	// Open opens the store, which is empty the first time.
	Open() (buffer.Store, error)
	// Crash stops the process that has it open as a power cut does; the next
	// Open sees what survived.
	Crash()
}

// Contract checks that stores keep what buffer.Store promises. Each part gets
// a medium of its own.
func Contract(t *testing.T, fresh func(t *testing.T) Medium) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, m Medium)
	}{
		{"WhatCommitReturnedSurvivesACrash", survives},
		{"ABatchHappensInOrder", inOrder},
		{"AValueIsACopy", copies},
		{"ScanIsOrderedAndStops", scans},
		{"TheLargestBatchIsTakenAtomically", largest},
		{"ABatchOverALimitChangesNothing", overLimit},
		{"OnlyOneOpens", exclusive},
		{"ReclaimGivesSpaceBackAndKeepsTheRest", reclaims},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, fresh(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, m Medium) buffer.Store {
	t.Helper()
	s, err := m.Open()
	must(t, err)
	return s
}

func want(t *testing.T, s buffer.Store, key string, value []byte) {
	t.Helper()
	got, err := s.Get([]byte(key))
	if value == nil {
		if !errors.Is(err, buffer.ErrNotFound) {
			t.Fatalf("Get(%q) = %d bytes, %v, want ErrNotFound", key, len(got), err)
		}
		return
	}
	must(t, err)
	if !bytes.Equal(got, value) {
		t.Fatalf("Get(%q) = %d bytes, want others, %d bytes", key, len(got), len(value))
	}
}

func put(t *testing.T, s buffer.Store, key string, value []byte) {
	t.Helper()
	var b buffer.Batch
	b.Put([]byte(key), value)
	must(t, s.Commit(&b))
}

// value returns size bytes that tell n.
func value(n, size int) []byte {
	v := make([]byte, size)
	for i := range v {
		v[i] = byte(n + i*(n+1))
	}
	return v
}

func survives(t *testing.T, m Medium) {
	s := open(t, m)
	for i := range 40 {
		put(t, s, fmt.Sprintf("f%03d", i), value(i, 1<<(i%17)))
	}
	m.Crash()
	s = open(t, m)
	for i := range 40 {
		want(t, s, fmt.Sprintf("f%03d", i), value(i, 1<<(i%17)))
	}
	must(t, s.Close())
	s = open(t, m)
	want(t, s, "f000", value(0, 1))
	must(t, s.Close())
}

func inOrder(t *testing.T, m Medium) {
	s := open(t, m)
	put(t, s, "old", value(1, 10))
	var b buffer.Batch
	b.Put([]byte("twice"), value(1, 10))
	b.Put([]byte("twice"), value(2, 2000))
	b.Delete([]byte("old"))
	b.Put([]byte("gone"), value(3, 10))
	b.Delete([]byte("gone"))
	b.Delete([]byte("back"))
	b.Put([]byte("back"), value(4, 10))
	b.Delete([]byte("never"))
	must(t, s.Commit(&b))
	check := func() {
		want(t, s, "twice", value(2, 2000))
		want(t, s, "old", nil)
		want(t, s, "gone", nil)
		want(t, s, "back", value(4, 10))
	}
	check()
	m.Crash()
	s = open(t, m)
	check()
	must(t, s.Close())
}

func copies(t *testing.T, m Medium) {
	s := open(t, m)
	put(t, s, "k", value(1, 100))
	got, err := s.Get([]byte("k"))
	must(t, err)
	clear(got)
	want(t, s, "k", value(1, 100))
	must(t, s.Close())
}

func scans(t *testing.T, m Medium) {
	s := open(t, m)
	for _, k := range []string{"b2", "a", "b1", "b\xff", "c", "b"} {
		put(t, s, k, value(1, 10+len(k)))
	}
	put(t, s, "b3", value(1, 5000))
	var b buffer.Batch
	b.Delete([]byte("b2"))
	must(t, s.Commit(&b))
	var keys []string
	sizes := map[string]int64{}
	must(t, s.Scan([]byte("b"), func(key []byte, size int64) error {
		keys = append(keys, string(key))
		sizes[string(key)] = size
		return nil
	}))
	if got := fmt.Sprintf("%q", keys); got != `["b" "b1" "b3" "b\xff"]` {
		t.Fatalf("keys %s", got)
	}
	if sizes["b1"] != 12 {
		t.Errorf("b1 has size %d, want 12", sizes["b1"])
	}
	// A value outside the index may be known by its head's size only roughly.
	if n := sizes["b3"]; n < 4950 || n > 5050 {
		t.Errorf("b3 has size %d, want about 5000", n)
	}
	stop, n := errors.New("stop"), 0
	if err := s.Scan(nil, func([]byte, int64) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Fatalf("scan went on: %d keys, %v", n, err)
	}
	must(t, s.Close())
}

func largest(t *testing.T, m Medium) {
	s := open(t, m)
	// As many bytes as a batch may have, in segments.
	const segment = 64 << 10
	var b buffer.Batch
	for i := range buffer.MaxBatchBytes / segment {
		b.Put(fmt.Appendf(nil, "f%049d", i), value(i, segment))
	}
	must(t, b.Check())
	must(t, s.Commit(&b))
	// As many operations, and as many index bytes.
	ops := &buffer.Batch{}
	for i := range buffer.MaxBatchOps {
		ops.Put(fmt.Appendf(nil, "o%d", i), value(i, 1))
	}
	must(t, ops.Check())
	must(t, s.Commit(ops))
	index := &buffer.Batch{}
	for i := 0; ; i++ {
		next := &buffer.Batch{Ops: nil}
		*next = *index
		next.Put(fmt.Appendf(nil, "i%d", i), value(i, buffer.InlineValue-1))
		if next.Check() != nil {
			break
		}
		index = next
	}
	must(t, s.Commit(index))
	m.Crash()
	s = open(t, m)
	for i := range buffer.MaxBatchBytes / segment {
		want(t, s, fmt.Sprintf("f%049d", i), value(i, segment))
	}
	want(t, s, fmt.Sprintf("o%d", buffer.MaxBatchOps-1), value(buffer.MaxBatchOps-1, 1))
	want(t, s, fmt.Sprintf("i%d", len(index.Ops)-1), value(len(index.Ops)-1, buffer.InlineValue-1))
	must(t, s.Close())
}

func overLimit(t *testing.T, m Medium) {
	s := open(t, m)
	bytes, ops := &buffer.Batch{}, &buffer.Batch{}
	for i := range 65 {
		bytes.Put(fmt.Appendf(nil, "f%d", i), value(i, 64<<10))
	}
	for i := range buffer.MaxBatchOps + 1 {
		ops.Put(fmt.Appendf(nil, "f%d", i), value(i, 1))
	}
	for _, b := range []*buffer.Batch{bytes, ops} {
		if err := s.Commit(b); !errors.Is(err, buffer.ErrBatchLimit) {
			t.Fatalf("Commit = %v, want ErrBatchLimit", err)
		}
	}
	want(t, s, "f0", nil)
	must(t, s.Close())
}

func exclusive(t *testing.T, m Medium) {
	s := open(t, m)
	if _, err := m.Open(); !errors.Is(err, buffer.ErrInUse) {
		t.Fatalf("a second Open = %v, want ErrInUse", err)
	}
	put(t, s, "k", value(1, 10))
	must(t, s.Close())
	s = open(t, m)
	want(t, s, "k", value(1, 10))
	must(t, s.Close())
}

func reclaims(t *testing.T, m Medium) {
	s := open(t, m)
	const segments, size = 640, 64 << 10 // 40 MiB
	put(t, s, "keep", value(7, 5000))
	for i := 0; i < segments; i += 32 {
		var b buffer.Batch
		for k := i; k < i+32; k++ {
			b.Put(fmt.Appendf(nil, "f%049d", k), value(k, size))
		}
		must(t, s.Commit(&b))
	}
	full, err := s.Size()
	must(t, err)
	if full < segments*size {
		t.Fatalf("size %d with %d bytes of values", full, segments*size)
	}
	for i := 0; i < segments; i += 128 {
		var b buffer.Batch
		for k := i; k < i+128; k++ {
			b.Delete(fmt.Appendf(nil, "f%049d", k))
		}
		must(t, s.Commit(&b))
	}
	must(t, s.Reclaim(0))
	must(t, s.Reclaim(0))
	// Two value log files may be in use.
	if n, err := s.Size(); err != nil || n > full/2 {
		t.Fatalf("size %d after everything was deleted, %d before, %v", n, full, err)
	}
	want(t, s, "keep", value(7, 5000))
	put(t, s, "after", value(8, 5000))
	m.Crash()
	s = open(t, m)
	want(t, s, "keep", value(7, 5000))
	want(t, s, "after", value(8, 5000))
	want(t, s, fmt.Sprintf("f%049d", 5), nil)
	if free, err := s.Free(); err != nil || free <= 0 {
		t.Fatalf("Free = %d, %v", free, err)
	}
	must(t, s.Close())
}
