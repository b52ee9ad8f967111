// Package doctor says what is wrong with a gateway before it runs, or while it
// does: the machine, the configuration's paths and names, and what a power cut
// would take. It changes nothing, and it does not ask the cloud.
//
// Look reads the facts from the system, and Examine, which is pure, turns them
// into findings:
//
//	Subject (edge.yaml) -> Look -> Facts -> Examine -> []Finding
package doctor

import (
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it works, and worse than it should
	Fail Level = "fail" // the gateway cannot do its work
)

// Finding is what one check says. Hint is a way out, empty for OK.
type Finding struct {
	Name  string `json:"name"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

// Subject is what a configuration says of the gateway.
type Subject struct {
	Gateway  id.Gateway
	State    string   // the folder that is written to
	Identity string   // the folder of the certificate
	Cloud    []string // HOST:PORT of the gates
	Nodes    []string // the /dev nodes of buses and GPIO chips
	Mode     string   // spill or always
	// Interval is the commit interval.
	Interval time.Duration
	// Limit is what the buffer may take on disk, Reserve what stays free, Memory
	// what the process should not exceed, in bytes.
	Limit, Reserve, Memory int64
}

// Failed says whether a finding is that the gateway cannot do its work.
func Failed(all []Finding) bool {
	for i := range all {
		if all[i].Level == Fail {
			return true
		}
	}
	return false
}
