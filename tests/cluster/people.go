package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
	"github.com/atrium-iot/atrium/tests/linear"
)

const (
	// What people pause between two questions: enough of them fall into each
	// moment of a take-over, and two cores have other work besides.
	readEvery  = 100 * time.Millisecond
	writeEvery = 300 * time.Millisecond
	orderEvery = time.Second
	// sampleEvery is how often the boards' own books are looked at.
	sampleEvery = 20 * time.Millisecond
	// giveUp is how long somebody waits for an answer.
	giveUp = 15 * time.Second
	// mayBegin is how long a command may still begin: longer than any fault, so
	// that each one must be done.
	mayBegin = 5 * time.Minute

	counter = "c1" // of each site, which people look at
	relay   = "r1" // of each site, which they switch
)

// papers are the documents that people write, all of them the same ones.
var papers = []string{"hq/gw-1", "lab/gw-1"}

// people ask every node at once, all through a scenario: they read twins, write
// documents and switch relays, and keep books of what they were told (books.go).
type people struct {
	nodes []*nodes.Node
	books *books
	gone  sync.WaitGroup
	leave context.CancelFunc
}

// gather has people come to each node that there is. They leave with ctx, or
// when they are told to.
func gather(ctx context.Context, c *nodes.Cluster, l *line.Line) *people {
	ctx, leave := context.WithCancel(ctx)
	p := &people{nodes: slices.Clone(c.All), books: newBooks(l.Sites), leave: leave}
	for _, s := range l.Sites {
		p.every(ctx, sampleEvery, func() { p.books.sample(s) })
	}
	for _, n := range p.nodes {
		to := &asker{node: n, books: p.books, client: http.Client{Timeout: giveUp}}
		p.every(ctx, readEvery, func() { to.read(ctx) })
		p.every(ctx, writeEvery, func() { to.write(ctx, papers[mathrand.IntN(len(papers))]) })
		p.every(ctx, orderEvery, func() { p.order(ctx, n) })
	}
	return p
}

// every does something again and again until ctx ends.
func (p *people) every(ctx context.Context, pause time.Duration, do func()) {
	p.gone.Go(func() {
		for line.Pause(ctx, pause) == nil {
			do()
		}
	})
}

// send has people leave. What is under way they do not wait for.
func (p *people) send() error {
	p.leave()
	p.gone.Wait()
	return nil
}

// asker is somebody who asks one node.
type asker struct {
	node   *nodes.Node
	books  *books
	client http.Client
	papers int // that it has written
}

// read looks at a twin.
func (a *asker) read(ctx context.Context) {
	t := a.books.anyTwin()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.node.URL()+"/v1/sites/"+t.site+"/devices/"+counter, nil)
	if err != nil {
		a.books.fault("%v", err)
		return
	}
	call := a.books.now()
	resp, err := a.client.Do(req)
	if err != nil {
		return // no answer
	}
	defer resp.Body.Close()
	var d client.Device
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&d) != nil {
		return
	}
	back := a.books.now()
	for _, p := range d.Points {
		if p.Value != nil {
			a.books.answer(t, linear.Answer{
				By: a.node.Name, Call: call, Return: back, Value: int64(*p.Value), Stale: resp.Header.Get(client.StaleHeader) != "",
			})
		}
	}
}

// found is how a conflict says which revision is there.
var found = regexp.MustCompile(`(?:exists, at|it is at|is at) revision (\d+)`)

// write looks at a document and changes what it saw there.
func (a *asker) write(ctx context.Context, name string) {
	call := a.books.now()
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	seen, err := a.look(ctx, name, call)
	if err != nil {
		return
	}
	a.papers++
	c := linear.Change{By: a.node.Name, Expect: seen, Text: fmt.Sprintf("kind: gateway\nname: %s\ntitle: %s-%d\n", name, a.node.Name, a.papers)}
	expect := client.Expect{Revision: seen, Absent: seen == 0}
	switch dice := mathrand.IntN(10); {
	case dice == 0:
		c.Expect, expect = linear.Any, client.Expect{}
	case dice == 1 && seen != 0:
		c.Text = ""
	}
	c.Call = a.books.now()
	if c.Text == "" {
		err = a.node.API.Delete(ctx, document.Gateway, name, expect)
	} else {
		var done client.Applied
		done, err = a.node.API.Put(ctx, []byte(c.Text), client.PutOptions{Expect: expect})
		c.Revision = done.Document.Revision
	}
	c.Return = a.books.now()
	var told *client.Error
	errors.As(err, &told)
	switch {
	case err == nil:
		c.Outcome = linear.Done
	case errors.Is(err, syscall.ECONNREFUSED):
		return // nobody was there
	case told == nil, told.Status >= http.StatusInternalServerError:
		c.Outcome = linear.Unknown
	case told.Status == http.StatusPreconditionFailed, told.Status == http.StatusNotFound:
		c.Outcome = linear.Conflict
		if at := found.FindStringSubmatch(told.Detail); at != nil {
			c.Revision, _ = strconv.ParseUint(at[1], 10, 64) // digits
		}
	default:
		a.books.fault("%s refused %s: %v", a.node.Name, name, err)
		return
	}
	a.books.change(name, c)
}

// look reads a document from the node's copy.
func (a *asker) look(ctx context.Context, name string, call time.Duration) (revision uint64, err error) {
	d, err := a.node.API.Document(ctx, document.Gateway, name)
	if err != nil && !client.NotFound(err) {
		return 0, err
	}
	a.books.look(name, linear.Look{By: a.node.Name, Call: call, Return: a.books.now(), Revision: d.Revision, Text: d.Text})
	return d.Revision, nil
}

// order asks for a command through a node, and again through others with the
// same id until one has taken it, and sometimes once more; then it asks what has
// become of it, until it has ended.
func (p *people) order(ctx context.Context, to *nodes.Node) {
	o := &order{site: p.books.anyTwin().site}
	rand.Read(o.id[:]) // never fails
	p.books.order(o)
	req := client.CommandRequest{
		ID: o.id.String(), Command: "set", Args: map[string]any{"on": o.id[0]%2 == 0}, ExpiresMS: uint64(mayBegin.Milliseconds()),
	}
	for asks := 1 + mathrand.IntN(4)/3; !o.ended(); to = p.nodes[mathrand.IntN(len(p.nodes))] {
		api, err := client.New(to.URL()) // whose Stale is that of one answer
		if err != nil {
			p.books.fault("%v", err)
			return
		}
		call := p.books.now()
		ask, cancel := context.WithTimeout(ctx, giveUp)
		var c client.Command
		if asks > 0 {
			c, err = api.Send(ask, id.Device{Site: id.Site(o.site), Name: relay}, req)
		} else {
			c, err = api.Command(ask, id.Site(o.site), o.id)
		}
		cancel()
		var told *client.Error
		switch {
		case err == nil:
			asks--
			p.books.told(o, c)
		case client.NotFound(err) && asks <= 0:
			if api.Stale() == "" {
				p.books.missed(o, miss{to.Name, call})
			}
		case errors.As(err, &told) && told.Status < http.StatusInternalServerError:
			p.books.fault("%s: command %s to %s/%s: %v", to.Name, o.id, o.site, relay, err)
			return
		}
		if line.Pause(ctx, readEvery) != nil {
			return
		}
	}
}
