package verify

import (
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// MaxFindings bounds the findings that a report lists: enough to see a
// pattern, few enough to read. Further ones are counted in Omitted.
const MaxFindings = 1000

// Report is the result of a comparison. Counts are readings.
type Report struct {
	Sampled     int `json:"sampled"`     // delivered by the devices; without truth, as their numbers show
	Readings    int `json:"readings"`    // distinct ones in the history
	Gaps        int `json:"gaps"`        // in gap frames
	Uncommitted int `json:"uncommitted"` // cut off by a crash within the commit interval
	Remainder   int `json:"remainder"`   // gone with the state of a gateway or a cloud
	Lost        int `json:"lost"`
	Duplicated  int `json:"duplicated"`
	Reordered   int `json:"reordered"` // includes twins that are not at the maximum, and sample times by no clock of their frame

	Unexpected   int `json:"unexpected"`   // in the history, never delivered
	Contradicted int `json:"contradicted"` // in the history, and in a gap

	HasTruth bool `json:"has_truth"`
	// UncommittedWithin is the sum of the commit intervals of crashed runs: the
	// bound of what crashes may have cost when there is no truth to count by.
	UncommittedWithin time.Duration `json:"uncommitted_within_ns"`

	Findings []Finding `json:"findings"`
	Omitted  int       `json:"omitted"` // findings beyond MaxFindings
}

// FindingKind names what is wrong.
type FindingKind string

// The kinds of findings. Each of them makes a report fail.
const (
	FindingLost         FindingKind = "lost"
	FindingDuplicated   FindingKind = "duplicated"
	FindingReordered    FindingKind = "reordered"
	FindingTwin         FindingKind = "twin"
	FindingUnexpected   FindingKind = "unexpected"
	FindingContradicted FindingKind = "contradicted"
	FindingMissing      FindingKind = "missing-range"
	FindingSum          FindingKind = "sum"
)

// Finding is one thing that is wrong, with its place. Run and Seq are the
// frame of the reading, or of the reading before one that is lost.
type Finding struct {
	Kind   FindingKind
	Device id.Device
	Run    id.Run
	Seq    uint64
	Value  int64
	Text   string
}

// String is one line for a person.
func (f Finding) String() string {
	s := string(f.Kind)
	if f.Device != (id.Device{}) {
		s += fmt.Sprintf(" %s: number %d", f.Device, f.Value)
	}
	if f.Run != (id.Run{}) {
		s += fmt.Sprintf(" (run %s, seq %d)", f.Run, f.Seq)
	}
	return s + ": " + f.Text
}

// MarshalText makes findings lines in JSON.
func (f Finding) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// String is the line that `atrium verify` prints.
func (r Report) String() string {
	uncommitted := fmt.Sprint(r.Uncommitted)
	if !r.HasTruth {
		uncommitted = "<= " + r.UncommittedWithin.String()
	}
	remainder := ""
	if r.Remainder > 0 {
		remainder = fmt.Sprintf(", remainder %d", r.Remainder)
	}
	return fmt.Sprintf("verify: %d readings: %d lost, %d duplicated, %d reordered (sampled %d, gaps %d, uncommitted %s%s)",
		r.Readings, r.Lost, r.Duplicated, r.Reordered, r.Sampled, r.Gaps, uncommitted, remainder)
}

// OK reports whether nothing is wrong.
func (r Report) OK() bool { return len(r.Findings) == 0 }

func (c *comparison) find(f Finding) {
	if len(c.report.Findings) == MaxFindings {
		c.report.Omitted++
		return
	}
	c.report.Findings = append(c.report.Findings, f)
}

func reading(kind FindingKind, r Reading, text string) Finding {
	return Finding{Kind: kind, Device: r.Device, Run: r.Run, Seq: r.Seq, Value: r.Value, Text: text}
}
