// Package look is what the counterpart on an emulated board tells the host of
// the agent beside it: a line each time on the board's console, between those of
// others. It only writes and finds such lines.
package look

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/tests/proc"
)

// prefix begins a line.
const prefix = "look: "

// Look is the agent at one moment.
type Look struct {
	Up        time.Duration `json:"up"` // of the board's clocks the one that nobody sets
	Connected bool          `json:"connected"`
	Devices   int           `json:"devices"`
	Sampled   uint64        `json:"sampled"` // readings, as the agent says
	Acked     uint64        `json:"acked"`   // the same
	Taken     uint64        `json:"taken"`   // readings, as the gate's side says, asked after the agent
	Memory    proc.Memory   `json:"memory"`
	CPU       time.Duration `json:"cpu"`
	Available int64         `json:"available"` // bytes of the board, for programs
}

// Line writes a look as a line.
func Line(l Look) (string, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return "", fmt.Errorf("look: %w", err)
	}
	return prefix + string(text) + "\n", nil
}

// In finds the looks of a console, in their order. The kernel may print into the
// midst of a line: one that is not whole is left out, and so is the last one
// while it is being written.
func In(console string) []Look {
	var looks []Look
	for line := range strings.Lines(console) {
		text, ok := strings.CutPrefix(line, prefix)
		if !ok || !strings.HasSuffix(text, "\n") {
			continue
		}
		var l Look
		if json.Unmarshal([]byte(text), &l) == nil {
			looks = append(looks, l)
		}
	}
	return looks
}
