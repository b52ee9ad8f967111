// Package watch shows a cloud node's live stream to a person or a program: as a
// view that fills a terminal, as plain lines, or as JSON. A Picture is what is
// known, a pure function of the events; a frame of the view is one of the
// Picture and of the terminal's size. Follow brings the events, over streams
// that break and are opened again.
package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

// again is the pause before a stream that broke is opened again: a node that
// was killed needs about as long to be back.
const again = time.Second

// Source opens the live stream: client.Client.
type Source interface {
	Stream(ctx context.Context, sites ...id.Site) iter.Seq2[client.Event, error]
}

// Taker takes what a stream brings. An error ends the watch.
type Taker interface {
	// Event takes an event. The first ones, up to Ready, are the whole state,
	// also after a break.
	Event(now time.Time, e client.Event) error
	// Broken says that the stream broke and will be opened again.
	Broken(now time.Time, why error) error
}

// Follow gives the events of some sites, or of all, to t until ctx is done,
// which is no error. A node that can't be reached at first, or that refuses,
// is one: who asks may have typed the wrong name.
func Follow(ctx context.Context, s Source, sites []id.Site, t Taker) error {
	for reached := false; ; {
		var broken error
		for e, err := range s.Stream(ctx, sites...) {
			if err != nil {
				broken = err
				break
			}
			reached = true
			if err := t.Event(time.Now(), e); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if !reached || refused(broken) {
			return broken
		}
		if err := t.Broken(time.Now(), broken); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// refused reports whether asking again would be answered alike.
func refused(err error) bool {
	answer, ok := errors.AsType[*client.Error](err)
	return ok && answer.Status >= http.StatusBadRequest && answer.Status < http.StatusInternalServerError
}

// lost is what is said of a stream that broke.
func lost(why error) string { return fmt.Sprintf("connection lost (%v), trying again", why) }
