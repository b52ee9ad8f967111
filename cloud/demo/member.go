package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/demo/process"
)

// restartAfter is how long what died stays down: a service manager's default
// of 100 ms would be too quick to see.
const restartAfter = 3 * time.Second

const (
	// awaitEvery is how often a process that is waited for is looked at, and
	// awaitTimeout when it is given up: it has been started again many times.
	awaitEvery   = 50 * time.Millisecond
	awaitTimeout = time.Minute
)

// Health is whether a process runs.
type Health struct {
	Up    bool
	Since time.Time // of the state
	Fault string    // why it does not run, if it could not be started
}

// member is a process that is started again when it dies.
type member struct {
	process *process.Process
	program string // its file

	cancel  context.CancelFunc // of the supervision; nil before
	watched sync.WaitGroup

	mu     sync.Mutex
	health Health
}

// start runs the process for the first time or again. After an error it does
// not run.
func (m *member) start(ctx context.Context) error {
	err := m.process.Start(ctx)
	h := Health{Up: err == nil, Since: time.Now()}
	if err != nil {
		err = errors.Join(err, m.process.Kill())
		h.Fault = err.Error()
	}
	m.set(h)
	return err
}

func (m *member) set(h Health) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health = h
}

// Health returns the present state.
func (m *member) Health() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health
}

// supervise starts the process again after each of its ends, until stop.
// started tells of each new process.
func (m *member) supervise(started func()) {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.watched.Go(func() {
		for {
			select {
			case <-m.process.Done():
			case <-ctx.Done():
				return
			}
			m.died()
			wait := time.NewTimer(restartAfter)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return
			}
			if m.start(ctx) == nil { // otherwise its Health says why, and it is tried again
				started()
			}
		}
	})
}

// died notes an end; what kept the process from starting stays said.
func (m *member) died() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health = Health{Since: time.Now(), Fault: m.health.Fault}
}

// await returns once the process runs.
func (m *member) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	for !m.runs() {
		if !pause(ctx, awaitEvery) {
			return fmt.Errorf("%s does not run: %w: %s", m.process.Name(), ctx.Err(), m.Health().Fault)
		}
	}
	return nil
}

// runs tells the process's present state, which Health may not know yet.
func (m *member) runs() bool {
	select {
	case <-m.process.Done():
		return false
	default:
		return m.Health().Up
	}
}

// stop ends the process for good.
func (m *member) stop() error {
	if m.cancel != nil {
		m.cancel()
		m.watched.Wait()
	}
	return m.process.Stop()
}
