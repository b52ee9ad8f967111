package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/linear"
	"github.com/atrium-iot/atrium/tests/proc"
)

// Counts of what people were told.
const (
	answers  = "answers"  // about twins
	changes  = "changes"  // of documents
	commands = "commands" // that were taken
)

// maxFaults bounds what is kept of what should not happen: the first ones tell.
const maxFaults = 20

// books are what people saw and did, since they came.
type books struct {
	began time.Time

	mu        sync.Mutex
	twins     []*twin
	documents map[string]*linear.Document
	orders    []*order
	faults    []string
}

// twin is the history of one site's counter.
type twin struct {
	site string
	linear.Twin
}

// order is a command that somebody asked for.
type order struct {
	id    id.Command
	site  string
	taken bool           // a node said that it is durable
	since time.Duration  // taken
	last  client.Command // as it was told last
	// missed are answers of nodes that did not know it, and did not say that
	// they may be wrong.
	missed []miss
}

// miss is a question to a node for something that was not there.
type miss struct {
	by   string
	call time.Duration
}

func (o *order) ended() bool { return o.taken && o.last.Ended() }

func newBooks(sites []*line.Site) *books {
	b := &books{began: time.Now(), documents: map[string]*linear.Document{}}
	for _, s := range sites {
		b.twins = append(b.twins, &twin{site: s.Name, Twin: linear.Twin{Device: s.Name + "/" + counter}})
	}
	for _, name := range papers {
		b.documents[name] = &linear.Document{Name: name}
	}
	return b
}

func (b *books) now() time.Duration { return time.Since(b.began) }

func (b *books) anyTwin() *twin { return b.twins[mathrand.IntN(len(b.twins))] }

func (b *books) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) < maxFaults {
		b.faults = append(b.faults, fmt.Sprintf(format, args...))
	}
}

func (b *books) answer(t *twin, a linear.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.Answers = append(t.Answers, a)
}

func (b *books) look(name string, l linear.Look) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.documents[name]
	d.Looks = append(d.Looks, l)
}

func (b *books) change(name string, c linear.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.documents[name]
	d.Changes = append(d.Changes, c)
}

func (b *books) order(o *order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders = append(b.orders, o)
}

// told notes what a node said of a command. One that has ended has ended for
// good.
func (b *books) told(o *order, c client.Command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !o.taken {
		o.taken, o.since = true, b.now()
	}
	o.last = c
}

// missed notes that a node did not know a command.
func (b *books) missed(o *order, m miss) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o.missed = append(o.missed, m)
}

// sample notes how far a site's counter has come.
func (b *books) sample(s *line.Site) {
	at := b.now()
	n, err := lastDelivered(s.Truth, s.Name+"/"+counter)
	if err != nil {
		b.fault("%v", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.twins {
		if t.site == s.Name {
			t.Delivered = append(t.Delivered, linear.Delivery{At: at, Value: n})
		}
	}
}

// lately is enough of the end of a board's book to hold a line of each of its
// counters.
const lately = 1 << 10

// lastDelivered returns the last number of a device in its board's book.
func lastDelivered(file, device string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	text := make([]byte, min(end, lately))
	if _, err := f.ReadAt(text, end-int64(len(text))); err != nil {
		return 0, err
	}
	lines := bytes.Split(text, []byte("\n"))
	for _, l := range slices.Backward(lines[:len(lines)-1]) {
		var delivered struct {
			Device string `json:"device"`
			N      int64  `json:"n"`
		}
		if json.Unmarshal(l, &delivered) == nil && delivered.Device == device {
			return delivered.N, nil
		}
	}
	return 0, fmt.Errorf("%s: the last %d bytes do not name %s", file, len(text), device)
}

// judge says what of all that has no order, and which commands were not known, not
// done or done twice. bound is how much older an answer may be than its question.
func (b *books) judge(ctx context.Context, sites []*line.Site, api string, bound time.Duration) (counts map[string]int, wrong []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts, wrong = map[string]int{}, b.faults
	for _, t := range b.twins {
		counts[answers] += len(t.Answers)
		if err := t.Check(bound); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	for _, name := range papers {
		d := b.documents[name]
		counts[changes] += len(d.Changes)
		if err := d.Check(); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	for _, o := range b.orders {
		for _, m := range o.missed {
			if m.call-bound > o.since {
				wrong = append(wrong, fmt.Sprintf("%s, asked at %v, did not know command %s to %s/%s, taken by %v", m.by, m.call, o.id, o.site, relay, o.since))
			}
		}
	}
	for _, s := range sites {
		n, told, err := b.effects(ctx, api, s)
		if err != nil {
			return counts, wrong, err
		}
		counts[commands] += n
		wrong = append(wrong, told...)
	}
	return counts, wrong, nil
}

// effects compares a site's commands with what its gateway did: every one that a
// node took is told to be done, and was done once. It waits for the last ones.
func (b *books) effects(ctx context.Context, api string, s *line.Site) (n int, wrong []string, err error) {
	c, err := client.New(api)
	if err != nil {
		return 0, nil, err
	}
	for _, o := range b.orders {
		if o.site != s.Name {
			continue
		}
		if err := o.follow(ctx, c); err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		if !o.taken {
			continue // and never will be
		}
		n++
		if o.last.State != "done" {
			wrong = append(wrong, fmt.Sprintf("command %s to %s/%s is %s %s", o.id, o.site, relay, o.last.State, o.last.Text))
		}
	}
	did, err := proc.Scrape(ctx, s.Gateway.URL())
	if err != nil {
		return n, wrong, err
	}
	if done := did[`atrium_device_commands_total{result="done"}`]; done != float64(n) {
		wrong = append(wrong, fmt.Sprintf("%s did %v commands, of %d that were taken", s.Gateway.Name(), done, n))
	}
	return n, wrong, nil
}

// follow waits until a command has ended, unless nobody knows it.
func (o *order) follow(ctx context.Context, c *client.Client) error {
	if o.ended() {
		return nil
	}
	return line.Until(ctx, fmt.Sprintf("command %s to %s/%s has ended", o.id, o.site, relay), func() (bool, error) {
		now, err := c.Command(ctx, id.Site(o.site), o.id)
		switch {
		case err == nil:
			o.taken, o.last = true, now
		case client.NotFound(err) && !o.taken:
			return true, nil
		}
		return o.ended(), err
	})
}
