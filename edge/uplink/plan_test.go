package uplink

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestPlan plays what happens to a plan: a line a happening, the time of it
// since the start, and what the plan answers. Jitter is always the middle.
func TestPlan(t *testing.T) {
	kinds := map[string]happeningKind{
		"tick": ticked, "answered": answered, "failed": dialFailed, "refused": refused, "welcomed": welcomed,
		"ended": ended, "silent": silent, "heard": heard, "redirected": redirected, "told": told,
	}
	verdicts := map[string]verdict{
		"unreachable": {}, "certificate": {pace: slow, final: true}, "turned-away": {final: true},
		"reset": {moved: true}, "later": {final: true}, "superseded": {superseded: true, final: true, pace: slow},
	}
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		start := time.Unix(1000, 0)
		var p *plan
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				p = newPlan(values(d, "cloud"), values(d, "nodes"), retry{least: time.Second, most: 8 * time.Second}, func() float64 { return 0.5 })
				return ""
			}
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				at, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
				since, err := time.ParseDuration(at)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				words := strings.Fields(rest)
				h := happening{kind: kinds[words[0]]}
				for _, w := range words[1:] {
					v, known := verdicts[w]
					switch {
					case w == "udp", w == "tcp":
						h.network = map[string]network{"udp": udp, "tcp": tcp}[w]
					case known:
						h.verdict = v
					case h.kind == redirected:
						h.addr = w
					case h.kind == told:
						h.nodes = append(h.nodes, w)
					default:
						if h.later, err = time.ParseDuration(w); err != nil {
							d.Fatalf(t, "%q: %v", line, err)
						}
					}
				}
				fmt.Fprintf(&out, "%s: %s\n", strings.TrimSpace(line), said(p, p.Step(start.Add(since), h), start))
			}
			return out.String()
		})
	})
}

func values(d *datadriven.TestData, key string) (out []string) {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			out = a.Vals
		}
	}
	return out
}

// said is what a plan said, and when it wants to be asked again.
func said(p *plan, actions []action, start time.Time) string {
	var parts []string
	for _, a := range actions {
		switch a.kind {
		case dial:
			parts = append(parts, fmt.Sprintf("dial %s %s", a.network, a.addr))
		case drop:
			parts = append(parts, "drop "+a.network.String())
		case greet:
			parts = append(parts, "greet "+a.network.String())
		case retire:
			parts = append(parts, "retire: "+a.purpose.String())
		case resume:
			parts = append(parts, "resume")
		case ignore:
			parts = append(parts, "ignore")
		}
	}
	if len(parts) == 0 {
		parts = []string{"-"}
	}
	if at := p.wake(); !at.IsZero() {
		parts = append(parts, fmt.Sprintf("(until %v)", at.Sub(start)))
	}
	return strings.Join(parts, ", ")
}
