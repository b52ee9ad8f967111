package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile/expr"
)

// Pipeline is a compiled document. It never changes and is safe for several
// goroutines; each device of it has a State of its own.
type Pipeline struct {
	Name  id.Pipeline
	Title string

	source Source
	stages []stage
	first  int // the first window or alarm
	window int // the window, or -1
	alarms int // how many alarms
}

// Source says whose readings a pipeline takes.
type Source struct {
	// Devices and Rooms are names within the site. A device of either takes
	// part; when both are empty, every device of the site does.
	Devices, Rooms []string

	// Points are the values of a row, in its order. A device without all of
	// them takes no part.
	Points []id.Point
}

// Source returns whose readings the pipeline takes. The caller may keep and
// change the result.
func (p *Pipeline) Source() Source {
	s := p.source
	return Source{slices.Clone(s.Devices), slices.Clone(s.Rooms), slices.Clone(s.Points)}
}

// Stages returns the stages in words, a line each, in order.
func (p *Pipeline) Stages() []string {
	words := make([]string, len(p.stages))
	for i := range p.stages {
		words[i] = p.stages[i].words
	}
	return words
}

type stageKind uint8

const (
	filter stageKind = iota + 1
	derive
	window
	alarm
)

// stage is one compiled stage. Before the window the slots of a row are the
// points and then the derived values; after it they are those of a window
// (windowNames) and then the derived values.
type stage struct {
	kind    stageKind
	words   string
	program *expr.Program // of filter and derive
	slot    int           // that derive sets; that window and alarm look at
	every   int64         // of window: microseconds
	rule    rule          // of alarm
	latch   int           // of alarm: its place in State.Alarms
}

func filterWords(source string) string { return "filter " + oneLine(source) }

func deriveWords(in *deriveDoc) string {
	words := fmt.Sprintf("derive %s = %s", in.Name, oneLine(in.Expr))
	if in.Unit != "" {
		words += " in " + in.Unit
	}
	return words
}

// oneLine writes an expression that a document may spread over several.
func oneLine(source string) string { return strings.Join(strings.Fields(source), " ") }

func windowWords(of string, every time.Duration) string {
	return fmt.Sprintf("mean of %s every %s", of, short(every))
}

func alarmWords(of string, r *rule) string {
	comparison, back := "above", "at most"
	if r.below {
		comparison, back = "below", "at least"
	}
	held := ""
	if r.hold > 0 {
		held = " for " + short(time.Duration(r.hold)*time.Microsecond)
	}
	return fmt.Sprintf("%s alarm when %s is %s %g%s, until it is %s %g", r.severity, of, comparison, r.threshold, held, back, r.clear)
}

// short writes a duration without the zeros that time.Duration adds.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
