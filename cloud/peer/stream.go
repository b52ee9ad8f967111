package peer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// watchPath is where a node shows another what changes in a shard:
	// ?shard=N, and &site=NAME for some of its sites. The answer is a frame a
	// line.
	watchPath = "/peer/v1/watch"
	// maxShown bounds the streams that other nodes follow here: those of all their
	// clients (api.MaxStreams a node), each of every shard that a cluster may have.
	maxShown = 4096
	// rest is the shortest time between two looks at what has changed: what
	// changes meanwhile is sent once.
	rest = 100 * time.Millisecond
	// idle is how long a look may find nothing; then it is another.
	idle = time.Minute
	// frameBytes is about how much of the events is one frame: who follows keeps
	// room for one a stream.
	frameBytes = 32 << 10
	// maxFrame bounds a frame, in bytes: frameBytes, and one more event of the
	// most that an event has.
	maxFrame = frameBytes + 4<<20
)

// errEnded says that the other node ended a stream: it owns the shard no more,
// or stops.
var errEnded = errors.New("the stream was ended")

// frame is some events of a shard. More says that others have changed before.
type frame struct {
	Events []json.RawMessage `json:"events"`
	More   bool              `json:"more,omitempty"`
}

// serveWatch shows another node what changes in a shard that this node owns,
// until ctx or stop ends.
func (p *Peer) serveWatch(stop context.Context) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		shard, sites, err := p.parseWatch(r.URL.Query())
		if err != nil {
			api.WriteProblem(w, http.StatusBadRequest, err.Error())
			return
		}
		owner, err := p.cfg.Owner(r.Context(), shard, false)
		if err == nil && !p.isHere(owner) {
			p.misdirected(w, fmt.Sprintf("shard %d", shard), owner)
			return
		}
		if p.shown.Add(1) > maxShown {
			err = fmt.Errorf("other nodes follow %d streams here, which is the most", maxShown)
		}
		defer p.shown.Add(-1)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		var events api.Events
		if err == nil {
			events, err = p.cfg.Watch(ctx, shard, sites)
		}
		if err != nil {
			unavailable(w, fmt.Errorf("shard %d: %w", shard, err))
			return
		}
		defer events.Close()
		//nolint:errcheck // the end of the stream says so
		show(ctx, w, events)
	}
}

func (p *Peer) parseWatch(q url.Values) (shard int, sites []id.Site, err error) {
	shard, err = strconv.Atoi(q.Get("shard"))
	if err != nil || shard < 0 || shard >= p.cfg.Shards {
		return 0, nil, fmt.Errorf("query.shard: %q: want 0 to %d", q.Get("shard"), p.cfg.Shards-1)
	}
	for _, name := range q["site"] {
		site, err := id.ParseSite(name)
		if err != nil {
			return 0, nil, fmt.Errorf("query.site: %w", err)
		}
		sites = append(sites, site)
	}
	return shard, sites, nil
}

// show writes frames until the watch ends. Another node that takes nothing holds
// it up, and what changes meanwhile is then sent once.
func show(ctx context.Context, w http.ResponseWriter, events api.Events) error {
	to := http.NewResponseController(w)
	if err := to.Flush(); err != nil { // the other node knows that it was right
		return err
	}
	for {
		some, more, err := events.Next(ctx, idle)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			continue
		}
		if err := writeFrames(w, some, more); err != nil {
			return err
		}
		if err := to.Flush(); err != nil {
			return err
		}
		if !more {
			if err := pause(ctx, rest); err != nil {
				return err
			}
		}
	}
}

// writeFrames writes events as one frame or, as they are long, several.
func writeFrames(w io.Writer, some []client.Event, more bool) error {
	out := json.NewEncoder(w) // ends each value with a newline
	var f frame
	size := 0
	for i := range some {
		event, err := json.Marshal(&some[i])
		if err != nil {
			return err
		}
		f.Events = append(f.Events, event)
		if size += len(event); size < frameBytes && i < len(some)-1 {
			continue
		}
		f.More = more || i < len(some)-1
		if err := out.Encode(&f); err != nil {
			return err
		}
		f.Events, size = f.Events[:0], 0
	}
	return nil
}

// remote is what changes in a shard that another node owns.
type remote struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// openRemote asks the owner of a shard to show it, until ctx ends.
func (p *Peer) openRemote(ctx context.Context, o Owner, shard int, sites []id.Site) (*remote, error) {
	q := url.Values{"shard": {strconv.Itoa(shard)}}
	for _, s := range sites {
		q.Add("site", string(s))
	}
	u := url.URL{Scheme: "https", Host: o.Address, Path: watchPath, RawQuery: q.Encode()}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", o.Node, err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("node %s: %s", o.Node, resp.Status)
	}
	s := &remote{body: resp.Body, lines: bufio.NewScanner(resp.Body)}
	s.lines.Buffer(nil, maxFrame)
	return s, nil
}

// next waits for events. An error ends the stream.
func (s *remote) next(context.Context) ([]client.Event, bool, error) {
	if !s.lines.Scan() {
		if err := s.lines.Err(); err != nil {
			return nil, false, err
		}
		return nil, false, errEnded
	}
	var f struct {
		Events []client.Event `json:"events"`
		More   bool           `json:"more"`
	}
	if err := json.Unmarshal(s.lines.Bytes(), &f); err != nil {
		return nil, false, fmt.Errorf("frame: %w", err)
	}
	return f.Events, f.More, nil
}

func (s *remote) close() { s.body.Close() }

// own is what changes in a shard that this node owns.
type own struct{ events api.Events }

func (s own) next(ctx context.Context) ([]client.Event, bool, error) { return s.events.Next(ctx, idle) }
func (s own) close()                                                 { s.events.Close() }
