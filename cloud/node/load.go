package node

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

const (
	// measureEvery is how often a node looks at its own load.
	measureEvery = time.Second
	// remembers is over how long it averages: placement must not follow a burst.
	remembers = 10 * time.Second
)

// meter is what a node measures of itself.
type meter struct {
	mu   sync.Mutex
	load placement.NodeLoad
}

func (m *meter) node() placement.NodeLoad {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load
}

// measure keeps the meter until ctx ends.
func (n *node) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	before, used := time.Now(), cpuTime()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			passed, total := now.Sub(before), cpuTime()
			n.load.cpu(float64(total-used)/float64(passed)/float64(runtime.GOMAXPROCS(0)), passed)
			before, used = now, total
		}
	}
}

// cpu takes the share of the cores that was busy for a while.
func (m *meter) cpu(share float64, during time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	part := min(float64(during)/float64(remembers), 1)
	m.load.CPU += part * (min(max(share, 0), 1) - m.load.CPU)
}

// cpuTime is what this process has used, of user and system.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
