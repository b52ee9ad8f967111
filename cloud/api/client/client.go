package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// maxAnswer bounds an answer, in bytes: a full page of raw readings has 3 MB.
	maxAnswer = 32 << 20
	// requestTimeout bounds one request: a page is read from a local store.
	requestTimeout = 60 * time.Second
)

// StaleHeader is on answers of a node that no majority of the core nodes has
// heard for three seconds, and says why: what they show may be old, as others may
// have taken over what it holds. Answers without it are as new as any owner's
// that were asked for three seconds earlier.
const StaleHeader = "Atrium-Stale"

// Client calls the API of one node. It may be used by many goroutines.
type Client struct {
	base  *url.URL
	http  *http.Client
	stale atomic.Pointer[string] // why an answer may be old
}

// Stale says why an answer that this client was given may be old (StaleHeader), ""
// if none said so.
func (c *Client) Stale() string {
	if why := c.stale.Load(); why != nil {
		return *why
	}
	return ""
}

// New makes a client of the node at base, for example http://127.0.0.1:8080.
func New(base string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("client: address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("client: address %q: want http://HOST:PORT", base)
	}
	return &Client{base: u, http: &http.Client{Timeout: requestTimeout}}, nil
}

// Error is an answer other than success: RFC 9457 problem details.
type Error struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	for _, d := range e.Errors {
		text += fmt.Sprintf("; %s: %s", d.Location, d.Message)
	}
	return text
}

// NotFound reports whether err says that the thing asked for does not exist.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// Unavailable reports whether err says that nobody can answer at the moment.
func Unavailable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusServiceUnavailable
}

// Status returns the state of the node.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, nil, "v1", "status")
}

// Sites returns all sites.
func (c *Client) Sites(ctx context.Context) ([]Site, error) {
	return collect(list[Site](ctx, c, nil, "v1", "sites"))
}

// SitesInShort returns all sites with what their owners say of them. A site
// whose owner does not answer has a SummaryError instead.
func (c *Client) SitesInShort(ctx context.Context) ([]Site, error) {
	return collect(list[Site](ctx, c, url.Values{"summary": {"true"}}, "v1", "sites"))
}

// Gateways returns the gateways of a site.
func (c *Client) Gateways(ctx context.Context, site id.Site) ([]Gateway, error) {
	return collect(list[Gateway](ctx, c, nil, "v1", "sites", string(site), "gateways"))
}

// RetiredRuns returns the retired runs of a site, by gateway and run: of each
// gateway the last 1,024.
func (c *Client) RetiredRuns(ctx context.Context, site id.Site) ([]RetiredRun, error) {
	return collect(list[RetiredRun](ctx, c, nil, "v1", "sites", string(site), "runs", "retired"))
}

// Devices returns the twins of a site.
func (c *Client) Devices(ctx context.Context, site id.Site) ([]Device, error) {
	return collect(list[Device](ctx, c, nil, "v1", "sites", string(site), "devices"))
}

// Device returns one twin.
func (c *Client) Device(ctx context.Context, dev id.Device) (Device, error) {
	return get[Device](ctx, c, nil, "v1", "sites", string(dev.Site), "devices", dev.Name)
}

// Ledger returns the gap ledger of a site.
func (c *Client) Ledger(ctx context.Context, site id.Site) ([]LedgerEntry, error) {
	return collect(list[LedgerEntry](ctx, c, nil, "v1", "sites", string(site), "ledger"))
}

// History yields the readings of a point from since until before until, by
// time; zero times are open ends. raw adds their identity. It stops at the
// first error.
func (c *Client) History(ctx context.Context, dev id.Device, point id.Point, since, until time.Time, raw bool) iter.Seq2[Reading, error] {
	q := between(since, until)
	q.Set("point", string(point))
	q.Set("limit", fmt.Sprint(MaxHistory))
	if raw {
		q.Set("raw", "true")
	}
	return list[Reading](ctx, c, q, "v1", "sites", string(dev.Site), "devices", dev.Name, "history")
}

// MaxHistory is the most readings of one page of history.
const MaxHistory = 10_000

// list follows the pages of a list.
func list[T any](ctx context.Context, c *Client, q url.Values, path ...string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		next := make(url.Values)
		for k, v := range q {
			next[k] = v
		}
		for {
			page, err := get[Page[T]](ctx, c, next, path...)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			if page.Next == next.Get("after") {
				yield(none, fmt.Errorf("GET %s: the page after %q is followed by itself", c.base.JoinPath(path...), page.Next))
				return
			}
			next.Set("after", page.Next)
		}
	}
}

func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var out []T
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}

func get[T any](ctx context.Context, c *Client, q url.Values, path ...string) (T, error) {
	var out T
	u := c.base.JoinPath(path...)
	u.RawQuery = q.Encode()
	body, err := c.fetch(ctx, request{method: http.MethodGet, url: u.String()})
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		return out, fmt.Errorf("GET %s: %w", u, err)
	}
	return out, nil
}

// request is one call of the API.
type request struct {
	method, url string
	media       string // of the body
	body        []byte
	header      http.Header // more headers
}

// fetch returns the body of an answer of 2xx; any other is an *Error.
func (c *Client) fetch(ctx context.Context, r request) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if r.media != "" {
		req.Header.Set("Content-Type", r.media)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	defer resp.Body.Close()
	if why := resp.Header.Get(StaleHeader); why != "" {
		c.stale.Store(&why)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("answer of more than %d bytes", maxAnswer)
	case resp.StatusCode/100 == 2:
		return body, nil
	}
	return nil, problem(resp, body)
}

// bare is an error of http.Client without the address, which callers add.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

func problem(resp *http.Response, body []byte) error {
	e := &Error{Status: resp.StatusCode, Title: resp.Status}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "json") && json.Unmarshal(body, e) != nil {
		return &Error{Status: resp.StatusCode, Title: resp.Status}
	}
	e.Status = resp.StatusCode
	return e
}
