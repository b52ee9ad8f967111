package agent

import (
	"runtime/debug"
	"testing"
)

func TestTheEnvironmentGoesBeforeTheMemoryLimit(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	percent := debug.SetGCPercent(100)
	defer func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) }()
	c := &Config{Memory: 1 << 30}
	t.Setenv("GOMEMLIMIT", "2GiB")
	t.Setenv("GOGC", "100")
	c.OwnProcess()
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("the limit became %d though the environment has one", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	c.OwnProcess()
	if got := debug.SetMemoryLimit(-1); got != 1<<30 {
		t.Errorf("the limit is %d", got)
	}
	if got := debug.SetGCPercent(100); got != gcPercent {
		t.Errorf("the collector's percentage is %d", got)
	}
	if c.written == nil {
		t.Error("what the process writes is nobody's")
	}
}
