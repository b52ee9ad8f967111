package peer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// patience is how long a shard may be without an owner that shows it before
	// a watch ends: several times what a takeover takes.
	patience = 30 * time.Second
	// firstPause and longestPause part the attempts to open a shard's stream.
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
	// openTimeout bounds the opening of a shard's stream: who takes a shard over
	// shows it when it has recovered, and meanwhile another may have taken it.
	openTimeout = 5 * time.Second
	// maxBatch is about how many events one Next returns.
	maxBatch = 1024
)

// Watch begins to watch some sites, or all if none is named, wherever their
// shards are. A shard that moves is followed: its state is told again, and what
// has gone meanwhile as gone. There is one Ready, when every shard has told its
// state. A shard that nobody shows for 30 s ends the watch with
// api.ErrUnavailable, and so does a watched site that comes to another shard:
// who watches again gets the whole state from where it is.
//
// Goroutines: one a shard; they end with Close or with ctx.
func (p *Peer) Watch(ctx context.Context, sites []id.Site) (api.Events, error) {
	moved := p.moves()
	shards, err := p.shardsOf(ctx, sites)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{cancel: cancel, batches: make(chan batch), ended: make(chan struct{}), begun: len(shards)}
	for _, shard := range shards {
		f := &follower{peer: p, shard: shard, sites: sites, out: w.batches}
		w.followers.Go(func() {
			if err := f.run(ctx); ctx.Err() == nil {
				w.fail(err)
			}
		})
	}
	w.followers.Go(func() { w.fail(p.untilMoved(ctx, moved, sites, shards)) })
	p.metrics.watches.Inc()
	w.closed = sync.OnceFunc(p.metrics.watches.Dec)
	return w, nil
}

func (p *Peer) moves() (count uint64) {
	if p.cfg.Moved != nil {
		count, _ = p.cfg.Moved()
	}
	return count
}

// untilMoved returns when a watched site is in another shard, or ctx ends.
func (p *Peer) untilMoved(ctx context.Context, before uint64, sites []id.Site, shards []int) error {
	if p.cfg.Moved == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	for {
		count, changed := p.cfg.Moved()
		if count != before {
			before = count
			now, err := p.shardsOf(ctx, sites)
			if len(sites) == 0 || err == nil && !slices.Equal(now, shards) {
				return fmt.Errorf("%w: a site has moved, its state is told from the beginning", api.ErrUnavailable)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Peer) shardsOf(ctx context.Context, sites []id.Site) (shards []int, err error) {
	if len(sites) == 0 {
		for shard := range p.cfg.Shards {
			shards = append(shards, shard)
		}
		return shards, nil
	}
	for _, site := range sites {
		shard, err := p.cfg.Shard(ctx, site)
		if err != nil {
			return nil, err
		}
		shards = append(shards, shard)
	}
	slices.Sort(shards)
	return slices.Compact(shards), nil
}

// batch is some events of a shard. ready says that they end its whole state.
type batch struct {
	events      []client.Event
	more, ready bool
}

// watch is several shards as one stream: api.Events.
type watch struct {
	cancel    context.CancelFunc
	closed    func()
	followers sync.WaitGroup
	batches   chan batch // without a buffer: who is slow is not sent what is old
	begun     int        // shards that have not told their whole state yet

	once  sync.Once
	ended chan struct{}
	err   error
}

// fail ends the watch by its first error.
func (w *watch) fail(err error) {
	w.once.Do(func() {
		w.err = err
		close(w.ended)
	})
}

// Next is api.Events': it returns what the shards have, so that who rests
// afterwards rests once for all of them.
func (w *watch) Next(ctx context.Context, wait time.Duration) (out []client.Event, more bool, err error) {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	for len(out) == 0 {
		select {
		case b := <-w.batches:
			out = w.add(out, b)
			more = b.more
		case <-w.ended:
			return nil, false, w.err
		case <-enough.C:
			return nil, false, nil
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	for len(out) < maxBatch {
		select {
		case b := <-w.batches:
			out = w.add(out, b)
			more = more || b.more
		default:
			return out, more, nil
		}
	}
	return out, true, nil
}

// add appends a batch. There is one Ready, when all shards are.
func (w *watch) add(out []client.Event, b batch) []client.Event {
	out = append(out, b.events...)
	if b.ready {
		if w.begun--; w.begun == 0 {
			out = append(out, client.Event{Ready: new(struct{})})
		}
	}
	return out
}

// Close ends the watch.
func (w *watch) Close() {
	w.cancel()
	w.followers.Wait()
	w.closed()
}

// follower follows one shard from owner to owner.
type follower struct {
	peer  *Peer
	shard int
	sites []id.Site
	out   chan<- batch

	told  told
	ready bool // the whole state was told once
}

// source is an open stream of a shard: own or remote. next may wait for long,
// until the context of its opening ends.
type source interface {
	next(ctx context.Context) (some []client.Event, more bool, err error)
	close()
}

// run hands on what changes until ctx ends or patience does.
func (f *follower) run(ctx context.Context) error {
	shown := time.Now() // when somebody showed the shard last
	wait := firstPause
	for {
		some, err := f.follow(ctx, wait == longestPause)
		if some {
			shown, wait = time.Now(), firstPause
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(shown) > patience {
			return fmt.Errorf("%w: nobody shows shard %d: %w", api.ErrUnavailable, f.shard, err)
		}
		f.peer.metrics.reopened.Inc()
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, longestPause)
	}
}

// follow opens the shard's stream at its owner and hands on what it shows until
// it ends; some says that it has shown something. fresh distrusts what this node
// has heard of owners.
func (f *follower) follow(ctx context.Context, fresh bool) (some bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opening := time.AfterFunc(openTimeout, cancel)
	s, err := f.open(ctx, fresh)
	opening.Stop()
	if err != nil {
		return false, err
	}
	defer s.close()
	f.told.begin()
	for {
		events, more, err := s.next(ctx)
		if err != nil {
			return some, err
		}
		some = true
		if b := f.take(events, more); len(b.events) > 0 || b.ready {
			select {
			case f.out <- b:
			case <-ctx.Done():
				return some, ctx.Err()
			}
		}
	}
}

func (f *follower) open(ctx context.Context, fresh bool) (source, error) {
	o, err := f.peer.cfg.Owner(ctx, f.shard, fresh)
	if err != nil {
		return nil, err
	}
	if f.peer.isHere(o) {
		events, err := f.peer.cfg.Watch(ctx, f.shard, f.sites)
		if err != nil {
			return nil, err
		}
		return own{events}, nil
	}
	return f.peer.openRemote(ctx, o, f.shard, f.sites)
}

// take makes a batch of what a stream shows: instead of its Ready comes what has
// gone since the stream before, and the first one counts.
func (f *follower) take(some []client.Event, more bool) (b batch) {
	b.more = more
	for i := range some {
		e := &some[i]
		if e.Ready == nil {
			f.told.add(e)
			b.events = append(b.events, *e)
			continue
		}
		b.events = append(b.events, f.told.ready()...)
		if !f.ready {
			f.ready, b.ready = true, true
		}
	}
	return b
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
