package ops

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds c to reg, or returns the equal collector that was registered
// before: what is opened twice in a process, one after the other, goes on
// counting. A collector that contradicts another is a bug.
func Register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	var again prometheus.AlreadyRegisteredError
	if errors.As(err, &again) {
		if old, ok := again.ExistingCollector.(C); ok {
			return old
		}
	}
	if err != nil {
		panic("BUG: metrics: " + err.Error())
	}
	return c
}
