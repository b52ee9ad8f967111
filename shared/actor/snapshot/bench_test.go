package snapshot_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor/snapshot"
)

// benchData is the state of a usual actor.
var benchData = make([]byte, 500)

func benchDir(b *testing.B) *snapshot.Dir {
	d, err := snapshot.OpenDir(b.TempDir(), 16<<30)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return d
}

func BenchmarkDirSave(b *testing.B) {
	d, i := benchDir(b), 0
	for b.Loop() {
		if err := d.Save(context.Background(), fmt.Sprintf("hq/t%d", i%1000), benchData); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkDirSaveAtOnce is 32 saves under way, which share the disk's commits.
func BenchmarkDirSaveAtOnce(b *testing.B) {
	d := benchDir(b)
	var i atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := d.Save(context.Background(), fmt.Sprintf("hq/t%d", i.Add(1)%1000), benchData); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkDirLoad(b *testing.B) {
	d := benchDir(b)
	if err := d.Save(context.Background(), "hq/t1", benchData); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.Load(context.Background(), "hq/t1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDirDeleteOfNothing(b *testing.B) {
	d := benchDir(b)
	for b.Loop() {
		if err := d.Delete(context.Background(), "hq/t1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMemorySave(b *testing.B) {
	m := snapshot.NewMemory(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Save(context.Background(), "hq/t1", benchData); err != nil {
			b.Fatal(err)
		}
	}
}
