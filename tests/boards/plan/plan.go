// Package plan is what the host and the first process of an emulated board say
// to each other: the plan, a file in the board's first file system, and orders,
// files in a folder of the host that the board has mounted. It only names and
// reads them.
package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Where things are in the board.
const (
	Path    = "/etc/guest.json"
	State   = "/var/lib/atrium" // the agents' folders
	Share   = "/share"
	Order   = Share + "/order"
	Address = "10.0.2.15" // the first that QEMU's user networking gives out
	Host    = "10.0.2.2"  // the host's loopback, seen from the board
)

// Plan is what the first process does. When a program ends, it restarts the
// machine.
type Plan struct {
	Wait     []string  `json:"wait"` // patterns of files that must be there before a program starts
	Disk     string    `json:"disk"` // the block device under State, ext4, behind dm-flakey; empty: a tmpfs
	Tag      string    `json:"tag"`  // of the host's folder at Share (9P over virtio); empty: none, and no orders
	Programs []Program `json:"programs"`
	Alone    bool      `json:"alone"` // there is no network but the loopback
	Clock    time.Time `json:"clock"` // what the system's clock is set to; zero: it stays as it is
}

// Program is one of them; they start in their order.
type Program struct {
	Args  []string `json:"args"`
	Ready string   `json:"ready"` // file that is there once the next may start; empty: at once
}

// Parse reads a plan.
func Parse(data []byte) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("plan: %w", err)
	}
	if len(p.Programs) == 0 {
		return p, errors.New("plan: it has no programs")
	}
	for i, prog := range p.Programs {
		if len(prog.Args) == 0 {
			return p, fmt.Errorf("plan: program %d has no arguments", i+1)
		}
	}
	return p, nil
}

// Command is the first word of an order.
type Command string

// An order's file goes when it is carried out, so that the host knows; of those
// that end the machine, just before.
const (
	Cut  Command = "cut"  // stop everything at once, drop what the disk is still given, restart
	Step Command = "step" // set the system's clock on by a duration
	Stop Command = "stop" // end the programs cleanly, the last first, and restart
)

// FormatOrder writes an order; by is Step's.
func FormatOrder(c Command, by time.Duration) []byte {
	if c == Step {
		return fmt.Appendf(nil, "%s %s\n", c, by)
	}
	return fmt.Appendf(nil, "%s\n", c)
}

// ParseOrder reads one.
func ParseOrder(text []byte) (Command, time.Duration, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	switch c := Command(word); {
	case (c == Cut || c == Stop) && rest == "":
		return c, 0, nil
	case c == Step:
		by, err := time.ParseDuration(rest)
		if err != nil {
			return "", 0, fmt.Errorf("plan: order %q: %w", text, err)
		}
		return c, by, nil
	}
	return "", 0, fmt.Errorf("plan: order %q: want %s, %s or %s and a duration", text, Cut, Stop, Step)
}
