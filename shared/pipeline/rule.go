package pipeline

import (
	"fmt"
	"slices"

	"github.com/atrium-iot/atrium/shared/config"
)

// severities in order of weight.
var severities = []string{"info", "warning", "critical"}

func (c *compiler) alarm(path string, in *alarmDoc) (stage, error) {
	name, slot, err := c.of(config.Join(path, "of"), in.Of)
	if err != nil {
		return stage{}, err
	}
	r, err := c.rule(path, in)
	if err != nil {
		return stage{}, err
	}
	if r.text == "" {
		r.text = fmt.Sprintf("%s is above %g", name, r.threshold)
		if r.below {
			r.text = fmt.Sprintf("%s is below %g", name, r.threshold)
		}
	}
	c.out.alarms++
	return stage{kind: alarm, words: alarmWords(name, &r), slot: slot, rule: r, latch: c.out.alarms - 1}, nil
}

func (c *compiler) rule(path string, in *alarmDoc) (rule, error) {
	fail := func(key, format string, args ...any) (rule, error) {
		return rule{}, c.doc.Errorf(config.Join(path, key), format, args...)
	}
	r := rule{hold: in.For.Microseconds(), severity: in.Severity, text: in.Text}
	switch {
	case in.Above == nil && in.Below == nil:
		return rule{}, c.doc.Errorf(path, "want a threshold: above or below")
	case in.Above != nil && in.Below != nil:
		return fail("below", "want above or below, not both: a second alarm stage takes the other")
	case in.Above != nil:
		r.threshold = *in.Above
	default:
		r.below, r.threshold = true, *in.Below
	}
	r.clear = r.threshold
	if in.Clear != nil {
		r.clear = *in.Clear
	}
	switch {
	case !r.below && r.clear > r.threshold:
		return fail("clear", "want at most %g, where above raises the alarm, got %g", r.threshold, r.clear)
	case r.below && r.clear < r.threshold:
		return fail("clear", "want at least %g, where below raises the alarm, got %g", r.threshold, r.clear)
	}
	if err := c.line(config.Join(path, "text"), r.text, maxText); err != nil {
		return rule{}, err
	}
	if r.severity == "" && !c.doc.Has(config.Join(path, "severity")) {
		r.severity = "warning"
	}
	if !slices.Contains(severities, r.severity) {
		return fail("severity", "want info, warning or critical, got %q", r.severity)
	}
	return r, nil
}
