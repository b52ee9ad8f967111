package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/atrium-iot/atrium/shared/id"
)

// maxEvent bounds one event of a stream, in bytes: a room of 16,384 devices
// with the longest names has 2.2 MB.
const maxEvent = 4 << 20

// ErrStreamEnded says that the node ended a stream: it stopped, or its state
// began anew. Whoever asks again gets the whole state first.
var ErrStreamEnded = errors.New("the node ended the stream")

// Stream yields the changes of some sites, or of all, as they happen: first
// their whole state, up to an event with Ready. It ends with an error, at the
// latest when ctx ends.
func (c *Client) Stream(ctx context.Context, sites ...id.Site) iter.Seq2[Event, error] {
	u := c.base.JoinPath("v1", "stream")
	q := url.Values{}
	for _, s := range sites {
		q.Add("site", string(s))
	}
	u.RawQuery = q.Encode()
	return func(yield func(Event, error) bool) {
		err := c.follow(ctx, u.String(), func(e Event) bool { return yield(e, nil) })
		if err != nil {
			yield(Event{}, fmt.Errorf("GET %s: %w", u, err))
		}
	}
}

// follow reads a stream of events until take returns false (nil) or it ends.
func (c *Client) follow(ctx context.Context, u string, take func(Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	endless := http.Client{Transport: c.http.Transport} // c.http has a timeout
	resp, err := endless.Do(req)
	if err != nil {
		return bare(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return err
		}
		return problem(resp, body)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue // a heartbeat, or the empty line after an event
		}
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		if !take(e) {
			return nil
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	}
	return ErrStreamEnded
}
