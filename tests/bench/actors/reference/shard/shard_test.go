package shard_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference/shard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUpdatesReachTheTwins(t *testing.T) {
	fig, err := shard.Programs()["shard/twin"](load.Scales()["tiny"])
	if err != nil {
		t.Fatal(err)
	}
	if fig[load.PerSecond] <= 0 || fig[load.HeapBytes] < 64 {
		t.Errorf("got %v", fig)
	}
}
