package main

import (
	"fmt"
	"math"
	"strings"
)

// compared is a row with its figures, in the row's unit; NaN is one that was
// not measured.
type compared struct {
	row    row
	ours   float64
	limit  float64
	cpu    [2]float64 // nanoseconds of all cores a message, ours and the limit's
	typed  float64    // the limit with message values
	proto  float64
	beside map[string]float64 // the other references, by runtime
}

// better reports whether a beats b.
func (r row) better(a, b float64) bool {
	if r.less {
		return a < b
	}
	return a > b
}

// best is what the best known peer would do here.
func (c compared) best() float64 {
	if c.row.peer.proto == 0 {
		return math.NaN()
	}
	return c.row.peer.then / c.row.peer.proto * c.proto
}

// ofPeer is how many times better ours is than the best known peer.
func (c compared) ofPeer() float64 {
	if c.row.less {
		return c.best() / c.ours
	}
	return c.ours / c.best()
}

// ofLimit is our figure as a part of the limit's.
func (c compared) ofLimit() float64 { return c.ours / c.limit }

// verdict says whether the row's aims are met, each that is not, and nothing
// for a row without aims.
func (c compared) verdict() string {
	r := c.row
	if r.ofPeer == 0 && r.ofLimit == 0 && !r.bounded {
		return ""
	}
	if math.IsNaN(c.ours) {
		return "MISSED: not measured"
	}
	var missed []string
	aim := func(met bool, format string, args ...any) {
		if !met {
			missed = append(missed, fmt.Sprintf(format, args...))
		}
	}
	if r.bounded {
		slack := r.tolerance
		if !r.less {
			slack = -slack
		}
		aim(c.ours == r.bound || r.better(c.ours, r.bound+slack), "aim %s %s", number(r.bound), r.unit)
	}
	switch {
	case r.ofPeer == 0:
	case math.IsNaN(c.proto):
		aim(false, "%s's is not known without proto.actor", r.peer.name)
	default:
		aim(c.ofPeer() >= r.ofPeer, "%.2f of %s's, aim %g", c.ofPeer(), r.peer.name, r.ofPeer)
	}
	if r.ofLimit != 0 {
		aim(c.ofLimit() == r.ofLimit || r.better(c.ofLimit(), r.ofLimit), "%.2f of %s's, aim %g", c.ofLimit(), or(r.limit, "swap"), r.ofLimit)
	}
	if len(missed) == 0 {
		return "met"
	}
	return "MISSED: " + strings.Join(missed, "; ")
}

// behind names who beats us in the row, as far as the table shows it; the limit
// is left out, as being behind it is its meaning.
func (c compared) behind() string {
	var who []string
	add := func(name string, theirs float64) {
		if c.row.better(theirs, c.ours) && number(theirs) != number(c.ours) {
			who = append(who, name)
		}
	}
	for _, name := range others {
		add(name, c.beside[name])
	}
	add("proto.actor", c.proto)
	if c.row.peer.name != "proto.actor" {
		add(c.row.peer.name, c.best())
	}
	return strings.Join(who, ", ")
}

// number prints three digits, and all before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
