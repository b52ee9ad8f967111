package site

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// snapshotJob is a snapshot on its way to the bucket.
type snapshotJob struct {
	manifest *manifest
	objects  []object
	arrivals map[string]bool // objects of arrivals that are needed still
	size     int
	begin    time.Time
	kept     bool  // all of it is durable; what followed may have failed
	err      error // of any of it
}

type object struct {
	entry manifestEntry
	data  []byte
}

// keeper does what waits for the log's fsync, so that the loop does not: it
// publishes the owner's records and stores snapshots, one thing at a time.
type keeper struct {
	s      *Shard
	signal chan struct{}
	stored chan *snapshotJob
	behind atomic.Uint64 // the lag, in messages

	mu      sync.Mutex
	records []journal.Record
	queued  int // bytes of their bodies
	job     *snapshotJob
	applied uint64
	wanted  bool // the lag
	asked   time.Time

	// Of run's goroutine.
	manifests []*manifest // the durable ones it knows, oldest first, at most two
}

func newKeeper(s *Shard) *keeper {
	return &keeper{s: s, signal: make(chan struct{}, 1), stored: make(chan *snapshotJob, 1)}
}

// measureEvery is how often the log's end is asked for the lag.
const measureEvery = 5 * time.Second

// maxQueued is how many bytes of the owner's records may wait for the log before
// documents wait in the catalog: what it takes in a second.
const maxQueued = 4 << 20

// add queues records of the owner. They are few: a tick a second, a skip for
// each record that fails, an outbox record a command, and documents as long as
// there is room.
func (k *keeper) add(recs ...journal.Record) {
	k.mu.Lock()
	k.records = append(k.records, recs...)
	for i := range recs {
		k.queued += len(recs[i].Body)
	}
	k.mu.Unlock()
	k.wake()
}

// hasSpace reports whether another site's documents may be queued.
func (k *keeper) hasSpace() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.queued < maxQueued
}

// store hands over a snapshot; the result comes on stored.
func (k *keeper) store(job *snapshotJob) {
	k.mu.Lock()
	k.job = job
	k.mu.Unlock()
	k.wake()
}

// measure asks for the lag behind the log's end, every measureEvery.
func (k *keeper) measure(applied uint64) {
	now := time.Now()
	k.mu.Lock()
	due := now.Sub(k.asked) >= measureEvery
	if due {
		k.asked, k.wanted, k.applied = now, true, applied
	}
	k.mu.Unlock()
	if due {
		k.wake()
	}
}

func (k *keeper) wake() {
	select {
	case k.signal <- struct{}{}:
	default:
	}
}

// run works until ctx is done. An error that is not the snapshot's own ends
// the shard's work.
func (k *keeper) run(ctx context.Context) error {
	k.wake() // what recovery left
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.signal:
		}
		k.mu.Lock()
		job, measure, applied := k.job, k.wanted, k.applied
		k.job, k.wanted = nil, false
		k.mu.Unlock()
		if err := k.publish(ctx); err != nil {
			return err
		}
		if measure {
			k.lag(ctx, applied)
		}
		if job == nil {
			continue
		}
		if job.err = k.keep(ctx, job); ctx.Err() != nil {
			return ctx.Err()
		}
		k.stored <- job
	}
}

// publish writes the queued records to the log. After an error they are queued
// still: run meets it again.
func (k *keeper) publish(ctx context.Context) error {
	k.mu.Lock()
	recs := k.records
	k.records, k.queued = nil, 0
	k.mu.Unlock()
	left := recs
	for len(left) > 0 {
		part := fitting(left)
		left = left[len(part):]
		if _, err := k.s.owner.Publish(ctx, part); err != nil {
			k.add(recs...)
			return fmt.Errorf("publish %s records: %w", part[0].Kind, err)
		}
	}
	return nil
}

// fitting returns the first of some records that together are one message.
func fitting(recs []journal.Record) []journal.Record {
	const envelope = 2 * journal.MaxOrigin // at most, of a record: two names and some heads
	size := envelope
	for i := range recs {
		if size += envelope + len(recs[i].Body); i == journal.MaxRecords || i > 0 && size > journal.MaxMessage {
			return recs[:i]
		}
	}
	return recs
}

func (k *keeper) lag(ctx context.Context, applied uint64) {
	_, last, err := k.s.journal.Bounds(ctx)
	if err != nil {
		k.s.log.Warn("site: lag is unknown", "err", err)
		return
	}
	k.behind.Store(max(last, applied) - applied)
	k.s.metrics.lag.Set(float64(k.behind.Load()))
	k.s.delay.ended(last)
	k.s.metrics.delay.Set(k.s.delay.now().Seconds())
}

// keep makes a snapshot durable, names it in the log, and purges what it makes
// superfluous. The order is the rule: parts, objects, manifest, barrier,
// snapshot record, purge.
func (k *keeper) keep(ctx context.Context, job *snapshotJob) error {
	s := k.s
	// Who takes the manifest on another node gets what is below it from parts.
	if err := s.shelf.reach(ctx, job.manifest.Seq); err != nil {
		return err
	}
	for _, o := range job.objects {
		if err := s.objects.Put(ctx, o.entry.Object, o.data); err != nil {
			return err
		}
		if err := k.publish(ctx); err != nil { // a tick must not wait for thousands of sites
			return err
		}
	}
	data, err := s.codec.encodeManifest(job.manifest)
	if err != nil {
		return err
	}
	if err := s.objects.Put(ctx, manifestName(job.manifest.Seq), data); err != nil {
		return err
	}
	job.kept = true
	k.manifests = append(k.manifests, job.manifest)
	if len(k.manifests) > 2 {
		k.manifests = k.manifests[1:]
	}
	token, err := s.owner.Refence(ctx)
	if err != nil {
		return err
	}
	rec := journal.Record{Kind: journal.KindSnapshot, Origin: s.cfg.Node, Body: journal.AppendSnapshot(nil, job.manifest.Seq)}
	if _, err := s.owner.Publish(ctx, []journal.Record{rec}); err != nil {
		return err
	}
	return errors.Join(k.purge(ctx, token), k.sweep(ctx, job.arrivals))
}

// purge removes from the log what nobody will read again.
func (k *keeper) purge(ctx context.Context, token uint64) error {
	if len(k.manifests) < 2 {
		return nil
	}
	below := purgeBelow(k.manifests[0].Seq, k.s.history.Position(k.s.cfg.Shard), k.s.shelf.durable(), token)
	if err := k.s.journal.Purge(ctx, below); err != nil {
		return err
	}
	k.s.metrics.purged.Set(float64(below))
	return nil
}

// purgeBelow is the purge rule: a replay from the previous snapshot needs what
// follows it, history what follows its position, other nodes' history what
// follows the last part, and the fence its barrier.
func purgeBelow(previous, history, parts, barrier uint64) uint64 {
	return min(previous+1, history+1, parts+1, barrier)
}

// sweep deletes the objects that the two manifests do not name. What lies
// above them is not this owner's to judge.
func (k *keeper) sweep(ctx context.Context, arrivals map[string]bool) error {
	newest := k.manifests[len(k.manifests)-1].Seq
	keep := maps.Clone(arrivals)
	for _, m := range k.manifests {
		keep[manifestName(m.Seq)] = true
		for _, e := range m.Sites {
			keep[e.Object] = true
		}
	}
	all, err := k.s.objects.List(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		seq, err := strconv.ParseUint(o.Name[strings.LastIndexByte(o.Name, '.')+1:], 10, 64)
		if keep[o.Name] || !strings.HasPrefix(o.Name, movedPrefix) && (err != nil || seq > newest) {
			continue
		}
		if err := k.s.objects.Delete(ctx, o.Name); err != nil {
			return err
		}
	}
	return nil
}

// snapshotIfDue begins a snapshot at a message's end, if some site changed and
// none is on its way.
func (s *Shard) snapshotIfDue(ctx context.Context, now time.Time) error {
	if s.storing != nil || len(s.savers) == 0 && s.sinceSnap < s.cfg.SnapshotMessages && now.Sub(s.snapAt) < s.cfg.SnapshotEvery {
		return nil
	}
	s.snapAt, s.sinceSnap = now, 0
	if !s.changed() {
		s.saved(nil)
		return nil
	}
	// The manifest must not stand above history: what lies between would never
	// be replayed into it.
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.shelf.cut(ctx); err != nil {
		return err
	}
	job, err := s.snapshot(now)
	if err != nil {
		return err
	}
	s.storing, s.held = job, job
	s.keepHeld()
	return nil
}

// changed reports whether a snapshot would differ from the last one.
func (s *Shard) changed() bool {
	for _, st := range s.sites {
		if st.dirty {
			return true
		}
	}
	for _, d := range s.departed {
		if d.dirty {
			return true
		}
	}
	return false
}

// snapshot encodes what changed since the last one.
func (s *Shard) snapshot(now time.Time) (*snapshotJob, error) {
	job := &snapshotJob{begin: now, manifest: &manifest{
		Version: snapshotVersion, Shard: s.cfg.Shard, Seq: s.applied, Now: s.now, Incarnation: s.incarnation, Epoch: s.epoch,
	}}
	for _, name := range s.names() {
		st := s.sites[name]
		entry := st.object
		if st.dirty {
			data, err := s.codec.encode(st, s.applied)
			if err != nil {
				return nil, err
			}
			entry = manifestEntry{Site: name, Object: objectName(name, s.applied), Seq: s.applied, Digest: sha256.Sum256(data)}
			job.objects = append(job.objects, object{entry, data})
			job.size += len(data)
			st.dirty = false
		}
		job.manifest.Sites = append(job.manifest.Sites, entry)
	}
	if err := s.snapshotDeparted(job); err != nil {
		return nil, err
	}
	job.arrivals = s.neededArrivals()
	return job, nil
}

// snapshotDeparted adds what is left of the sites that have left.
func (s *Shard) snapshotDeparted(job *snapshotJob) error {
	if len(s.departed) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.departed)) {
		d := s.departed[name]
		if d.dirty {
			data, err := s.codec.encodeMoved(&movedSnapshot{Site: name, Seq: s.applied, Gone: &d.gone})
			if err != nil {
				return err
			}
			d.object = manifestEntry{Site: name, Object: objectName(name, s.applied), Seq: s.applied, Digest: sha256.Sum256(data)}
			d.dirty = false
			job.objects = append(job.objects, object{d.object, data})
		}
		job.manifest.Sites = append(job.manifest.Sites, d.object)
	}
	slices.SortFunc(job.manifest.Sites, func(a, b manifestEntry) int { return strings.Compare(string(a.Site), string(b.Site)) })
	return nil
}

// stored takes the keeper's result: the snapshot is the last, also if the
// purge after it failed, or its sites are to be written again.
func (s *Shard) stored(job *snapshotJob) {
	s.storing = nil
	defer s.saved(job)
	if job.err != nil {
		s.metrics.snapshotErrors.Inc()
		s.log.Error("snapshot failed, the next one tries again", "seq", job.manifest.Seq, "kept", job.kept, "err", job.err)
	}
	if !job.kept {
		for _, o := range job.objects {
			if st := s.sites[o.entry.Site]; st != nil {
				st.dirty = true
			}
			if d := s.departed[o.entry.Site]; d != nil {
				d.dirty = true
			}
		}
		return
	}
	s.last = job.manifest
	maps.DeleteFunc(s.skips, func(k skipKey, _ bool) bool { return k.pos.Seq <= s.last.Seq }) // no reload goes below
	for _, o := range job.objects {
		if st := s.sites[o.entry.Site]; st != nil {
			st.object = o.entry
		}
	}
	s.metrics.snapshotSeconds.Observe(time.Since(job.begin).Seconds())
	s.metrics.snapshotBytes.Set(float64(job.size))
}
