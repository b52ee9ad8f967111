// Package linear says whether what people saw of a cluster, through any of its
// nodes and while these died, was seen of one thing that changes step by step:
// whether histories are linearisable (Herlihy and Wing, 1990). It has one model
// for what a twin shows and one for a document of the catalog, and hands
// histories to porcupine, which searches for an order. It asks no node; who
// records a history is its caller.
//
// A history's times are since one moment, by one clock.
package linear

import (
	"errors"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// searchTime bounds the search for an order. Histories of a trial take well under
// a second; what takes longer has so many answers of one moment that it proves
// little.
const searchTime = 30 * time.Second

// never is the return of what got no answer: it may come to be at any time.
const never = math.MaxInt64

var (
	errNoOrder   = errors.New("no order explains what was seen")
	errUndecided = errors.New("no order was found or excluded in time: ask less at once")
)

// check looks for an order of a history.
func check(m porcupine.Model, history []porcupine.Operation) error {
	switch porcupine.CheckOperationsTimeout(m, history, searchTime) {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return errNoOrder
	}
	return errUndecided
}
