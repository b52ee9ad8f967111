// Package autoscale follows the cluster's advice: it asks a node every few
// seconds, and has a node added or taken out, one at a time. How a node is
// started or stopped is not its business: whoever runs it gives two functions. It
// measures nothing and judges no load; package scaling does, in every node.
//
// A node that is to go is emptied first, and its stop asked for only when it
// serves nothing. Whatever fails on the way, the drain is taken back. Core nodes
// stay: they hold the store, and how many there are is for people to decide.
package autoscale

import (
	"cmp"
	"fmt"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// Limits bound the number of nodes that live and do not drain.
type Limits struct {
	Min, Max int
}

// Action is what is to be done now.
type Action struct {
	Do   string `json:"action"`         // stay, out or in
	Node string `json:"node,omitempty"` // of in
	Why  string `json:"why"`
}

// Decide returns what is to be done now. One step at a time: while a node drains,
// by whomever, nothing is.
func Decide(a client.Advice, nodes []client.Node, l Limits) Action {
	live := 0
	var target *client.Node
	for i, n := range nodes {
		switch n.State {
		case "live":
			live++
			if n.Node == a.Node {
				target = &nodes[i]
			}
		case "draining":
			return stay("node %s drains", n.Node)
		}
	}
	switch {
	case live < l.Min:
		return Action{Do: "out", Why: fmt.Sprintf("%d nodes live, at least %d are to", live, l.Min)}
	case a.Action == "out" && live >= l.Max:
		return stay("%s; but %d nodes live, at most %d may", a.Why, live, l.Max)
	case a.Action == "out":
		return Action{Do: "out", Why: a.Why}
	case a.Action != "in":
		return stay("%s", cmp.Or(a.Why, "no advice"))
	case live <= l.Min:
		return stay("%s; but %d nodes live, at least %d are to", a.Why, live, l.Min)
	case target == nil || target.Core:
		return stay("%s; but there is no worker to take out", a.Why)
	}
	return Action{Do: "in", Node: target.Node, Why: a.Why}
}

func stay(format string, args ...any) Action {
	return Action{Do: "stay", Why: fmt.Sprintf(format, args...)}
}
