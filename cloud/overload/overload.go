// Package overload says what a node does when it has too much: one table from a
// trigger to what is done, with the sign from which on and the one until which.
// It is pure: measurements go in, actions come out. It measures nothing, and who
// carries an action out is the node.
//
// What lies below these thresholds is not its business: credit follows the
// journal's queue byte by byte (cloud/gate), sites share that queue
// (cloud/journal), placement gives a hot node less, and scaling asks for another.
// Here is what must not get worse.
package overload

import (
	"fmt"
	"time"
)

// Measured is what a node knows of itself.
type Measured struct {
	Disk   float64       // share of the data folder's file system that is free, 0 to 1
	Memory float64       // share of the machine's memory that programs may still have, 0 to 1
	Delay  time.Duration // the longest that a message of late waited in the logs of its shards
}

// Action is something that the node does until the trigger is over.
type Action uint8

// The actions.
const (
	// Slow gives each gateway credit for one message at a time. Its agent then
	// samples less often, and keeps events before telemetry.
	Slow Action = 1 << iota
	// Later tells gateways that come anew to come later. Those that are connected
	// stay. The node is not ready, so that balancers send elsewhere.
	Later
)

// Trigger is one line of the table.
type Trigger struct {
	Name    string
	On, Off string // in words: from when, and until when
	Actions Action
	begins  func(Measured) bool
	lasts   func(Measured) bool
}

const (
	// A disk that is full stops the log until somebody makes room, and the store
	// leaves 30 % of a disk to others when it is made: what has come this far is
	// not the log's, and does not end by itself.
	diskLow, diskEnough = 0.03, 0.06
	// Linux kills somebody when no memory is left, and what is used for a cache
	// counts as free: at a twentieth little of that is left.
	memoryLow, memoryEnough = 0.05, 0.08
	// An owner that is five seconds behind shows people the past, and what gets
	// into the log faster than out of it does not help them.
	delayLong, delayShort = 5 * time.Second, time.Second
)

// Table returns the triggers.
func Table() []Trigger {
	return []Trigger{
		{
			Name: "disk", On: fmt.Sprintf("less than %.0f %% free", 100*diskLow), Off: fmt.Sprintf("more than %.0f %%", 100*diskEnough), Actions: Slow | Later,
			begins: func(m Measured) bool { return m.Disk < diskLow }, lasts: func(m Measured) bool { return m.Disk <= diskEnough },
		},
		{
			Name: "memory", On: fmt.Sprintf("less than %.0f %% to be had", 100*memoryLow), Off: fmt.Sprintf("more than %.0f %%", 100*memoryEnough), Actions: Slow | Later,
			begins: func(m Measured) bool { return m.Memory < memoryLow }, lasts: func(m Measured) bool { return m.Memory <= memoryEnough },
		},
		{
			Name: "delay", On: fmt.Sprintf("a log's end waited more than %v for its owner", delayLong), Off: fmt.Sprintf("less than %v", delayShort), Actions: Slow,
			begins: func(m Measured) bool { return m.Delay > delayLong }, lasts: func(m Measured) bool { return m.Delay >= delayShort },
		},
	}
}

// State is which triggers are active. It is not for several goroutines at once.
type State struct {
	table  []Trigger
	active []bool
}

// New makes the state of a node that has nothing to do.
func New() *State {
	t := Table()
	return &State{table: t, active: make([]bool, len(t))}
}

// Step takes a measurement and returns what is to be done now, and the names of
// the triggers because of which.
func (s *State) Step(m Measured) (do Action, because []string) {
	for i, t := range s.table {
		s.active[i] = t.begins(m) || s.active[i] && t.lasts(m)
		if s.active[i] {
			do |= t.Actions
			because = append(because, t.Name)
		}
	}
	return do, because
}

// Words says what an action does, as people read it.
func (a Action) Words() (all []string) {
	if a&Slow != 0 {
		all = append(all, "credit for one message")
	}
	if a&Later != 0 {
		all = append(all, "new gateways are told `later`")
	}
	return all
}
