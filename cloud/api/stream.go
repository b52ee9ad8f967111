package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// MaxStreams bounds the live streams of a node: some pages and terminals,
	// each of which has the owners show what changes.
	MaxStreams = 64
	// pace is the shortest time between two looks at what has changed: more
	// often nobody sees, and what changes meanwhile is sent once.
	pace = 200 * time.Millisecond
	// heartbeat is how often an idle stream says that it lives: proxies close
	// connections that are silent for 30 s.
	heartbeat = 15 * time.Second
	// writeTimeout is how long a client may take nothing.
	writeTimeout = 10 * time.Second
)

// streams are the live streams of a node.
type streams struct {
	views Views
	open  atomic.Int64
}

// registerStream adds the stream, which ends with stop.
func registerStream(stop context.Context, a huma.API, s *streams) {
	event := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[client.Event](), true, "Event")
	huma.Register(a, huma.Operation{
		OperationID: "stream", Method: http.MethodGet, Path: "/v1/stream", MaxBodyBytes: maxBody,
		Summary:     "What changes in sites, as server-sent events",
		Description: "Each event's data is an Event. First comes the whole state, one entity an event, and then one with 'ready'. What changes several times between two events is sent once; what has not changed may be sent again. A comment comes every 15 s.",
		Responses: map[string]*huma.Response{"200": {
			Description: "Events, until the client or the node ends it.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: event}},
		}},
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusInternalServerError, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
		return s.begin(ctx, stop, in)
	})
}

type streamInput struct {
	Site []string `query:"site,explode" maxItems:"100" doc:"Several are allowed. Default: all sites."`
}

func (s *streams) begin(ctx, stop context.Context, in *streamInput) (*huma.StreamResponse, error) {
	var sites []id.Site
	for _, name := range in.Site {
		site, err := id.ParseSite(name)
		if err != nil {
			return nil, badParameter("query.site", name, err)
		}
		sites = append(sites, site)
	}
	if s.open.Add(1) > MaxStreams {
		s.open.Add(-1)
		return nil, huma.Error503ServiceUnavailable(fmt.Sprintf("this node has %d live streams already: close one, or poll", MaxStreams))
	}
	events, err := s.views.Watch(ctx, sites)
	if err != nil {
		s.open.Add(-1)
		if errors.Is(err, ErrNotFound) {
			return nil, huma.Error404NotFound(fmt.Sprintf("%v: a site begins with its first gateway's hello, or with its document; a stream of all sites tells of it then", err))
		}
		return nil, answered(err, "stream", "")
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer s.open.Add(-1)
		defer events.Close()
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		ctx, cancel := context.WithCancel(hc.Context())
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		//nolint:errcheck // the client is gone, or the watch has ended: the end of the stream says so
		follow(ctx, w, events)
	}}, nil
}

// follow writes events until ctx or the watch ends, or the client takes
// nothing for too long.
func follow(ctx context.Context, w http.ResponseWriter, events Events) error {
	out := &eventWriter{to: http.NewResponseController(w), buf: bufio.NewWriter(w)}
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		batch, more, err := events.Next(ctx, heartbeat)
		if err != nil {
			return err
		}
		if err := out.write(batch); err != nil {
			return err
		}
		if more {
			continue
		}
		wait.Reset(pace)
		select {
		case <-wait.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// eventWriter writes server-sent events.
type eventWriter struct {
	to  *http.ResponseController
	buf *bufio.Writer
}

// write sends some events, or a comment if there are none.
func (e *eventWriter) write(batch []client.Event) error {
	if err := e.to.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if len(batch) == 0 {
		fmt.Fprint(e.buf, ": alive\n\n")
	}
	for i := range batch {
		data, err := json.Marshal(&batch[i])
		if err != nil {
			return err
		}
		fmt.Fprintf(e.buf, "data: %s\n\n", data)
	}
	if err := e.buf.Flush(); err != nil {
		return err
	}
	return e.to.Flush()
}
