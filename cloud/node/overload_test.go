package node

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/overload"
)

func TestMemoryIsReadAsTheKernelSaysIt(t *testing.T) {
	share, err := parseMemory([]byte("MemTotal:        1000 kB\nMemFree:           1 kB\nMemAvailable:    250 kB\nHugePages_Total:       0\n"))
	if err != nil || share != 0.25 {
		t.Errorf("%v, %v, want a quarter", share, err)
	}
	for _, bad := range []string{"", "MemTotal: 1000 kB\n", "MemTotal: many kB\nMemAvailable: 250 kB\n"} { // I6
		if share, err := parseMemory([]byte(bad)); err == nil {
			t.Errorf("%q gives %v", bad, share)
		}
	}
}

func TestWhatCannotBeMeasuredIsNoOverload(t *testing.T) {
	if free := diskFree(t.TempDir() + "/not/there"); free != 1 {
		t.Errorf("a folder that is not there has %v free", free)
	}
	if free := diskFree(t.TempDir()); free <= 0 || free > 1 {
		t.Errorf("a disk with %v free", free)
	}
}

// A node that turns gateways away is not ready, and says why.
func TestANodeThatHoldsBackSaysSo(t *testing.T) {
	s := newStrain(prometheus.NewRegistry())
	if s.ready() != nil || len(s.triggers()) != 0 {
		t.Fatalf("at first: %v, %q", s.ready(), s.triggers())
	}
	do, because := s.take(overload.Measured{Disk: 0.01, Memory: 1})
	if err := s.ready(); err == nil || !strings.Contains(err.Error(), "overloaded (disk)") || do.Later == "" || !do.Slow || len(because) != 1 {
		t.Errorf("with a full disk: ready %v, restraint %+v", err, do)
	}
	if do, _ := s.take(overload.Measured{Disk: 1, Memory: 1}); s.ready() != nil || do.Later != "" || do.Slow || len(s.triggers()) != 0 {
		t.Errorf("with room again: ready %v, restraint %+v", s.ready(), do)
	}
}
