package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// lookEvery is how often gateways and links are asked: twice as often as
	// the age of a value is shown.
	lookEvery = 500 * time.Millisecond
	// streamAgain is the pause before a stream that broke is opened again.
	streamAgain = 500 * time.Millisecond
	// askTimeout bounds one question to a process that may just be dying.
	askTimeout = 2 * time.Second
)

// Feed keeps a Picture up to date: from the cloud node's live stream, and from
// what gateways and links say of themselves.
type Feed struct {
	demo *Demo
	http *http.Client

	mu      sync.Mutex
	picture Picture
}

// NewFeed makes the feed of a running demonstration; Run fills it.
func NewFeed(d *Demo) *Feed {
	f := &Feed{demo: d, http: &http.Client{Timeout: askTimeout}, picture: Picture{API: d.API(), Begin: time.Now()}}
	for _, s := range d.sites {
		f.picture.Sites = append(f.picture.Sites, newSitePicture(s.Site))
	}
	return f
}

// Picture returns what is known now. The caller owns it.
func (f *Feed) Picture() Picture {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.picture.clone()
	p.Now = time.Now()
	p.Cloud = f.demo.cloud.Health()
	for i, s := range f.demo.sites {
		p.Sites[i].Gateway = s.gateway.Health()
	}
	return p
}

// Say adds a line to the picture's log.
func (f *Feed) Say(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.picture.say(time.Now(), text)
}

// Run collects until ctx is done.
func (f *Feed) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.stream(ctx) })
	for i := range f.demo.sites {
		g.Go(func() error { return f.look(ctx, i) })
	}
	return g.Wait()
}

// stream follows the cloud node's events; while it is down they are missing.
func (f *Feed) stream(ctx context.Context) error {
	for {
		for e, err := range f.demo.api.Stream(ctx) {
			if err != nil {
				break
			}
			f.mu.Lock()
			f.picture.Apply(time.Now(), e)
			f.mu.Unlock()
		}
		f.mu.Lock()
		f.picture.Broken()
		f.mu.Unlock()
		if !pause(ctx, streamAgain) {
			return nil
		}
	}
}

// look asks a site's gateway and link again and again.
func (f *Feed) look(ctx context.Context, i int) error {
	s := f.demo.sites[i]
	for {
		// Asked first, so that what is applied is never more than what the gateway
		// then says that it has sampled.
		f.mu.Lock()
		applied := f.picture.Sites[i].arrived
		f.mu.Unlock()
		var edge EdgeStatus
		edgeErr := f.get(ctx, s.gateway.process.URL()+"/status", &edge)
		var link linkState
		linkErr := f.get(ctx, s.linkURL+"/state", &link)
		f.mu.Lock()
		p := &f.picture.Sites[i]
		if p.Edge.Known = edgeErr == nil; edgeErr == nil {
			p.edge(edge)
			p.Applied = applied
		}
		if linkErr == nil {
			p.Cut = link.Cut
		}
		p.trend(time.Now())
		f.mu.Unlock()
		if !pause(ctx, lookEvery) {
			return nil
		}
	}
}

// linkState is what of a link's state the picture shows.
type linkState struct {
	Cut bool `json:"cut"`
}

func (f *Feed) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxControl)).Decode(into)
}

// pause waits; false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
