package agent

import (
	"os"
	"runtime/debug"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// gcPercent is how much garbage may collect beside what is in use: on a small
// board memory is dearer than the collector's time.
const gcPercent = 50

// OwnProcess says that the process is this gateway and nothing else, before Run:
// it keeps within the configured memory, as far as the collector can, unless
// the environment has GOMEMLIMIT or GOGC, which say the same; and what it
// writes to storage counts against the gateway's write budget.
func (c *Config) OwnProcess() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(c.Memory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	c.written = buffer.ProcessWritten
}
