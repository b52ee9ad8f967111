package buffer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// I5: a start on a full file system takes the ballast's space, and the ballast
// comes back when there is room for it.
func TestTheBallastIsGivenUpForAStartOnAFullDisk(t *testing.T) {
	file, others := filepath.Join(t.TempDir(), "ballast"), int64(0)
	const disk = buffer.BallastRoom + 2*buffer.BallastSize
	drop, lay := buffer.Ballast(file, func() (int64, error) {
		free := disk - others
		if info, err := os.Stat(file); err == nil {
			free -= info.Size()
		}
		return free, nil
	})
	laid := func() bool { _, err := os.Stat(file); return err == nil }

	others = disk - buffer.BallastRoom
	if err := lay(); err != nil || laid() {
		t.Fatalf("it was laid where there is too little room: %v", err)
	}
	others = 0
	if err := lay(); err != nil || !laid() {
		t.Fatalf("it was not laid: %v", err)
	}
	if free, dropped, err := drop(); err != nil || dropped || !laid() {
		t.Fatalf("it was given up with %d bytes free, %v", free, err)
	}
	others = disk - buffer.BallastSize // the rest is the ballast
	free, dropped, err := drop()
	if err != nil || !dropped || laid() || free < buffer.BallastSize {
		t.Fatalf("full disk: dropped %t, %d bytes are free, %v", dropped, free, err)
	}
	others = disk
	if free, dropped, err := drop(); err != nil || dropped || free != 0 {
		t.Fatalf("without one: dropped %t, %d bytes are free, %v", dropped, free, err)
	}
}

// What the ballast takes is no reading's, and the store says so.
func TestAStoreHasABallastThatIsNotItsSize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buffer")
	store, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	info, err := os.Stat(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Skip("the file system has no room for one, or no fallocate: ", err)
	}
	if size, err := store.Size(); err != nil || info.Size() != buffer.BallastSize || size >= buffer.BallastSize {
		t.Fatalf("ballast %d, store %d, %v", info.Size(), size, err)
	}
}
