package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// knownRun is what the log says of a run.
type knownRun struct {
	run     id.Run
	gateway id.Gateway
	boot    id.Boot
}

// tap reads the logs along, at the moment when something is durable there, and
// keeps everything: what was purged is needed to replay from the start.
type tap struct {
	trace  *trace
	mem    *journaltest.Mem
	reopen sync.RWMutex // held while the logs are put back

	mu       sync.Mutex
	rolled   rolledBack
	logs     [][]journal.Message // by shard, message i has sequence i+1
	durable  map[id.Run]uint64   // frames up to here are in the log, without a hole
	ahead    map[id.Run]map[uint64]uint64
	runs     map[id.Run]bool
	order    []knownRun        // as hellos named them first
	barrier  []journal.Barrier // the last of each shard
	deposed  map[reign]uint64  // where another owner's barrier ended it
	asked    map[id.Command]*asked
	sent     []sending
	promised []id.Command
	strange  map[id.Gateway]bool
	moved    time.Time         // when a shard last got an owner
	takers   map[id.Run]string // the node whose gate had the run's first frames
	shared   map[id.Run]bool   // runs of which another one had some, too
}

func newTap(t *trace, mem *journaltest.Mem, shards int) *tap {
	return &tap{
		trace: t, mem: mem, logs: make([][]journal.Message, shards), barrier: make([]journal.Barrier, shards),
		durable: map[id.Run]uint64{}, ahead: map[id.Run]map[uint64]uint64{}, runs: map[id.Run]bool{}, strange: map[id.Gateway]bool{},
		deposed: map[reign]uint64{}, rolled: rolledBack{frames: map[frameKey]bool{}, durable: map[id.Run]uint64{}}, asked: map[id.Command]*asked{}, takers: map[id.Run]string{}, shared: map[id.Run]bool{},
	}
}

// follow reads a shard's log until ctx ends; after a crash of the store it goes
// on where it was.
func (t *tap) follow(ctx context.Context, shard int) {
	for ctx.Err() == nil {
		t.reopen.RLock()
		life := t.lives()
		r, err := t.mem.Log(shard).Read(ctx, t.next(shard))
		t.reopen.RUnlock()
		for err == nil {
			var m journal.Message
			if m, err = r.Next(ctx); err == nil {
				t.take(shard, life, m)
			}
		}
		if r != nil {
			r.Close()
		}
		if !errors.Is(err, journal.ErrClosed) && ctx.Err() == nil {
			t.trace.complain("I2", "the log of shard %d does not continue at %d, which was durable: %v", shard, t.next(shard), err)
			return
		}
	}
}

func (t *tap) next(shard int) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return uint64(len(t.logs[shard])) + 1
}

// take notes a message of one of the store's lives.
func (t *tap) take(shard, life int, m journal.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if life == t.rolled.times {
		t.takeLocked(shard, m)
	}
}

func (t *tap) takeLocked(shard int, m journal.Message) {
	t.logs[shard] = append(t.logs[shard], m)
	if b, ok, err := m.Barrier(); ok && err == nil {
		t.fence(shard, m.Seq, b)
		return
	}
	for i := range m.Records {
		t.record(shard, m.Seq, &m.Records[i])
	}
}

// fence checks that an owner's barrier never comes back after another's (I3).
func (t *tap) fence(shard int, seq uint64, b journal.Barrier) {
	last := t.barrier[shard]
	if c := b.Compare(last); c < 0 || c == 0 && b.Owner != last.Owner {
		t.trace.complain("I3", "shard %d: barrier of %s, epoch %d, after that of %s, epoch %d", shard, b.Owner, b.Epoch, last.Owner, last.Epoch)
	}
	if b.Compare(last) != 0 {
		t.deposed[reign{shard, last.Owner, last.Epoch}] = seq
		t.moved = time.Now()
	}
	t.barrier[shard] = b
}

func (t *tap) record(shard int, seq uint64, rec *journal.Record) {
	switch rec.Kind {
	case journal.KindSnapshot, journal.KindTick, journal.KindSkip, journal.KindDocument, journal.KindIntent, journal.KindOutbox:
		if owner := t.barrier[shard].Owner; rec.Origin != owner {
			t.trace.complain("I3", "shard %d: message %d is a %s of %s, but the owner is %s", shard, seq, rec.Kind, rec.Origin, owner)
		}
		t.command(shard, seq, rec)
	case journal.KindHello:
		t.hello(rec)
	case journal.KindFrame, journal.KindGap, journal.KindResult:
		if gw, err := id.ParseGateway(rec.Origin); err != nil || t.strange[gw] {
			t.trace.complain("I6", "shard %d: message %d holds a %s of %s, which only sends rubbish", shard, seq, rec.Kind, rec.Origin)
		}
		if run, first, last, err := wire.PeekSeq(rec.Body); err == nil && rec.Kind != journal.KindResult {
			t.span(run, first, last)
		}
	}
}

func (t *tap) hello(rec *journal.Record) {
	gw, err := id.ParseGateway(rec.Origin)
	if err != nil {
		return
	}
	m, err := wire.ParseHello(rec.Body)
	if err != nil || t.strange[gw] {
		return
	}
	for _, r := range m.Runs {
		if !t.runs[r.Run] {
			t.runs[r.Run] = true
			t.order = append(t.order, knownRun{r.Run, gw, m.Boots[r.Boot]})
		}
		if t.rolled.times > 0 && r.First > 1 { // what was acked stays so, although the log lost it
			t.span(r.Run, 1, r.First-1)
		}
	}
}

// span notes first..last of a run as durable.
func (t *tap) span(run id.Run, first, last uint64) {
	if first > t.durable[run]+1 {
		if t.ahead[run] == nil {
			t.ahead[run] = map[uint64]uint64{}
		}
		t.ahead[run][first] = max(t.ahead[run][first], last)
		return
	}
	t.durable[run] = max(t.durable[run], last)
	for again := true; again; {
		again = false
		for f, l := range t.ahead[run] {
			if f <= t.durable[run]+1 {
				t.durable[run] = max(t.durable[run], l)
				delete(t.ahead[run], f)
				again = true
			}
		}
	}
}

// acked checks an ack at the moment when its gateway reads it (I2).
func (t *tap) acked(gw id.Gateway, run id.Run, seq uint64) {
	t.mu.Lock()
	durable := max(t.durable[run], t.rolled.durable[run])
	t.mu.Unlock()
	if seq > durable {
		t.trace.complain("I2", "%s: run %s is acked to %d, the log holds it to %d", gw, run, seq, durable)
	}
}

// last is the barrier in force of a shard; its owner is "" before the first.
func (t *tap) last(shard int) journal.Barrier {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.barrier[shard]
}

// epochs counts the barriers that began a reign.
func (t *tap) epochs() int { t.mu.Lock(); defer t.mu.Unlock(); return len(t.deposed) }

// quietFor is how long every shard has had its owner.
func (t *tap) quietFor() time.Duration { t.mu.Lock(); defer t.mu.Unlock(); return time.Since(t.moved) }

// took notes that a node's gate took a frame of a run.
func (t *tap) took(run id.Run, node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.takers[run] == "" {
		t.takers[run] = node
	}
	if t.takers[run] != node {
		t.shared[run] = true
	}
}

// sharedRuns counts the runs whose frames several nodes took.
func (t *tap) sharedRuns() int { t.mu.Lock(); defer t.mu.Unlock(); return len(t.shared) }

// distrust says that nothing but rubbish comes from a gateway.
func (t *tap) distrust(gw id.Gateway) { t.mu.Lock(); t.strange[gw] = true; t.mu.Unlock() }

// named reports whether a hello in the log named a run.
func (t *tap) named(run id.Run) bool { t.mu.Lock(); defer t.mu.Unlock(); return t.runs[run] }

// known returns the runs in the order of the hellos, and the logs.
func (t *tap) known() ([]knownRun, [][]journal.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]knownRun(nil), t.order...), append([][]journal.Message(nil), t.logs...)
}
