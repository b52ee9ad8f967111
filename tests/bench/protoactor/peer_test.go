package main

import (
	"testing"

	"github.com/atrium-iot/atrium/tests/bench/protoactor/load"
)

func TestProtoActorDeliversEveryWorkload(t *testing.T) {
	for name, start := range runtimes() {
		t.Run(name, func(t *testing.T) {
			if err := load.Check(start); err != nil {
				t.Error(err)
			}
		})
	}
}
