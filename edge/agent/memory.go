package agent

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much garbage may collect beside what is in use: on a small
// board memory is dearer than the collector's time.
const gcPercent = 50

// LimitMemory makes the process keep within the configured memory, as far as
// the collector can, unless the environment has GOMEMLIMIT or GOGC, which say
// the same. It is for a process that is one gateway.
func (c *Config) LimitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(c.Memory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
