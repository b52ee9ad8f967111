package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// maxResend bounds what is kept of a request's body so that it can be sent
	// again, in bytes: twice the longest document.
	maxResend = 128 << 10
	// againWithin is how old a request may be that is sent again: twice what it
	// takes to find a connection dead; what an owner that lives did not answer in
	// that time, another would hardly.
	againWithin = 10 * time.Second
	// retryAfter is when to ask again for what is on its way from one owner to
	// the next, in seconds.
	retryAfter = "1"
	// notOwner is the header by which a node that was wrongly asked tells its
	// refusal from an answer of its API; it names the owner that it knows.
	notOwner = "Atrium-Owner"
)

var (
	// errHere says that this node turned out to be the owner.
	errHere = errors.New("this node is the owner")
	// errMoved says that the nodes that were asked were not the owner.
	errMoved = errors.New("is on its way to another owner")
	// errPerhaps says that a request that changes something was sent, and that
	// its answer did not come.
	errPerhaps = errors.New("did not answer, and has perhaps done it")
)

// Handler serves people: a request about a site of another owner is forwarded
// there, every other is local's. The request's header and Host go along, so that
// local's guard judges where the answer is made.
func (p *Peer) Handler(local http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, site := placeOf(r.URL.EscapedPath())
		if at == anywhere {
			local.ServeHTTP(w, r)
			return
		}
		owner, err := p.ownerOf(r.Context(), site, false)
		switch {
		case errors.Is(err, api.ErrNotFound), err == nil && p.isHere(owner), err != nil && at == ratherAtOwner:
			local.ServeHTTP(w, r)
		case err != nil:
			p.metrics.forwarded.unavailable.Inc()
			unavailable(w, fmt.Errorf("site %s: %w", site, err))
		default:
			p.forward(w, r, local, &trip{peer: p, at: at, site: site, owner: owner, began: time.Now()})
		}
	})
}

// answer serves other nodes. They ask the owner only, and are told when this
// node is not.
func (p *Peer) answer(local http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at, site := placeOf(r.URL.EscapedPath()); at == atOwner {
			owner, err := p.ownerOf(r.Context(), site, false)
			switch {
			case errors.Is(err, api.ErrNotFound): // local says so
			case err != nil:
				unavailable(w, fmt.Errorf("site %s: %w", site, err))
				return
			case !p.isHere(owner):
				p.misdirected(w, "site "+string(site), owner)
				return
			}
		}
		local.ServeHTTP(w, r)
	})
}

func (p *Peer) ownerOf(ctx context.Context, site id.Site, fresh bool) (Owner, error) {
	shard, err := p.cfg.Shard(ctx, site)
	if err != nil {
		return Owner{}, err
	}
	return p.cfg.Owner(ctx, shard, fresh)
}

func (p *Peer) isHere(o Owner) bool { return o.Node == p.cfg.Node }

// forward sends a request to the owner and its answer back.
func (p *Peer) forward(w http.ResponseWriter, r *http.Request, local http.Handler, t *trip) {
	if err := t.keepBody(r); err != nil {
		api.WriteProblem(w, http.StatusBadRequest, fmt.Sprintf("the request's body: %v", err))
		return
	}
	proxy := httputil.ReverseProxy{
		Transport: t, FlushInterval: -1, ErrorLog: p.complaints(),
		Rewrite: func(out *httputil.ProxyRequest) {
			out.Out.URL.Scheme = "https"
			out.Out.URL.RawQuery = out.In.URL.RawQuery // what is wrong in it, the owner says
			out.Out.Header.Del("Upgrade")              // an offer, as of curl --http2, that need not be taken
			out.Out.Header.Del("Connection")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			p.unanswered(w, r, local, t, err)
		},
	}
	proxy.ServeHTTP(w, r)
	p.metrics.seconds.Observe(time.Since(t.began).Seconds())
}

// unanswered says what became of a request to which no owner gave an answer.
func (p *Peer) unanswered(w http.ResponseWriter, r *http.Request, local http.Handler, t *trip, err error) {
	switch {
	case r.Context().Err() != nil:
		p.metrics.forwarded.abandoned.Inc()
		panic(http.ErrAbortHandler) // there is nobody to tell
	case errors.Is(err, errPerhaps):
		p.metrics.forwarded.perhaps.Inc()
		api.WriteProblem(w, http.StatusBadGateway, fmt.Sprintf("%v: look before you ask again, and ask for a command with the same id", err))
	case t.whole && (errors.Is(err, errHere) || t.at == ratherAtOwner):
		p.metrics.forwarded.here.Inc()
		r.Body = t.body()
		local.ServeHTTP(w, r)
	default:
		p.metrics.forwarded.unavailable.Inc()
		unavailable(w, err)
	}
}

// misdirected answers another node that what it asked for is not here.
func (p *Peer) misdirected(w http.ResponseWriter, what string, owner Owner) {
	p.metrics.misdirected.Inc()
	w.Header().Set(notOwner, owner.Node)
	api.WriteProblem(w, http.StatusMisdirectedRequest, fmt.Sprintf("node %s does not own %s: by what it knows, %s does", p.cfg.Node, what, owner.Node))
}

// unavailable answers that nobody can answer now: nothing was done.
func unavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", retryAfter)
	api.WriteProblem(w, http.StatusServiceUnavailable, fmt.Sprintf("%v: try again in a moment", err))
}

// trip is one request on its way to the owner of a site. It is the transport of
// a proxy that serves this request only.
type trip struct {
	peer  *Peer
	at    place
	site  id.Site
	owner Owner // whom it asks
	began time.Time

	head  []byte    // of the body
	whole bool      // head is all of the body: it can be sent again
	rest  io.Reader // of the body, nil if head is all
}

// keepBody reads as much of the request's body as can be kept.
func (t *trip) keepBody(r *http.Request) (err error) {
	if t.head, err = io.ReadAll(io.LimitReader(r.Body, maxResend+1)); err != nil {
		return err
	}
	if t.whole = len(t.head) <= maxResend; !t.whole {
		t.rest = r.Body
	}
	return nil
}

// body is the request's body from its beginning: of one that is not whole, once.
func (t *trip) body() io.ReadCloser {
	if t.whole {
		return io.NopCloser(bytes.NewReader(t.head))
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(t.head), t.rest))
}

// RoundTrip asks the owner, and once more, whoever is it by a fresh look, if the
// request was certainly not carried out, or may be carried out twice.
func (t *trip) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, again, err := t.ask(r)
	if again == nil || !t.whole || time.Since(t.began) > againWithin {
		return resp, err
	}
	again.Inc()
	owner, lookErr := t.peer.ownerOf(r.Context(), t.site, true)
	switch {
	case lookErr != nil:
		return nil, fmt.Errorf("%w; site %s: %w", err, t.site, lookErr)
	case t.peer.isHere(owner):
		return nil, errHere
	}
	t.owner = owner
	resp, _, err = t.ask(r)
	return resp, err
}

// ask sends the request to the owner. An error comes with the counter of its
// kind if the request may be sent again.
func (t *trip) ask(r *http.Request) (*http.Response, counter, error) {
	// Without a connection nothing was sent. With one, who knows.
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	out := r.Clone(ctx)
	out.URL.Host = t.owner.Address
	if r.Body != nil {
		out.Body = t.body()
	}
	if r.Body != nil && t.whole { // for the transport, of what a node that stops did not look at
		out.GetBody = func() (io.ReadCloser, error) { return t.body(), nil }
	}
	resp, err := t.peer.transport.RoundTrip(out)
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case err == nil && resp.StatusCode == http.StatusMisdirectedRequest && resp.Header.Get(notOwner) != "":
		resp.Body.Close()
		return nil, t.peer.metrics.again.moved, fmt.Errorf("site %s %w (not %s)", t.site, errMoved, t.owner.Node)
	case err == nil:
		t.peer.metrics.forwarded.answered.Inc()
		return resp, nil, nil
	case errors.Is(err, context.Canceled):
		return nil, nil, err
	case safe || !connected.Load():
		return nil, t.peer.metrics.again.unreachable, fmt.Errorf("node %s, which owns site %s: %w", t.owner.Node, t.site, err)
	}
	return nil, nil, fmt.Errorf("node %s, which owns site %s, %w (%w)", t.owner.Node, t.site, errPerhaps, err)
}
