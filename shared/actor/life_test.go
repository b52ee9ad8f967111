package actor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

var lives = flag.Int("actors", 5_000, "how many actors live and end in TestAMillionLives")

const (
	lifeProducers = 4
	liveShare     = 10        // one in so many of all actors lives at a time
	stayOfLife    = 3         // messages after which a virtual actor leaves memory
	heapLeft      = 8 << 20   // what a run may leave behind, in bytes
	mailboxOfLife = 12        // small, so that each policy has its turn
	deathRate     = 10        // one in so many calls ends an actor
	batchOfLife   = 8         // messages of a TellBatch, at most
	crash         = int32(-1) // the message on which a receiver panics
)

// parcel is the nth message of a producer to one actor on one lane.
type parcel struct {
	producer, n int32
	lane        actor.Lane
	crash       bool
}

// ledger is what one actor saw, whatever receiver it had. Only turns touch it:
// the race detector sees two at once.
type ledger struct {
	next    [lifeProducers][actor.Control + 1]int32
	handled uint64
}

// citizen is one actor, and what each producer has sent to it.
type citizen struct {
	ref    actor.Ref[parcel]
	ledger ledger
	sent   [lifeProducers][actor.Control + 1]int32
}

// mortal is the receiver of all lives.
type mortal struct {
	ledger *ledger
	world  *world
}

func (m *mortal) Receive(ctx *actor.ContextOf[parcel]) {
	p := ctx.Message()
	if at := &m.ledger.next[p.producer][p.lane]; p.n < *at { // a drop leaves a gap
		m.world.wrong.Add(1)
	} else {
		*at = p.n + 1
	}
	m.ledger.handled++
	m.world.handled.Add(1)
	if p.crash {
		panic("stress")
	}
}

// visitor is a mortal that comes and goes with its state, which is how many
// messages it has handled. It finds its ledger by its name.
type visitor struct {
	mortal
	seen uint64
}

func (v *visitor) Receive(ctx *actor.ContextOf[parcel]) {
	v.mortal.Receive(ctx)
	v.seen++
}

// Started implements actor.Starter: a state that knows of fewer messages, or
// more, than were handled is one that was lost.
func (v *visitor) Started(ctx *actor.ContextOf[parcel]) {
	v.ledger = &v.world.byName[ctx.PID().ID].ledger
	if v.seen != v.ledger.handled {
		v.world.wrong.Add(1)
	}
}

// Snapshot implements actor.Snapshotter.
func (v *visitor) Snapshot() ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, v.seen), nil
}

// Restore implements actor.Snapshotter.
func (v *visitor) Restore(state []byte) error {
	v.seen = binary.BigEndian.Uint64(state)
	return nil
}

// world is all that happens in one run.
type world struct {
	t                                 *testing.T
	system                            *actor.ActorSystem
	slots                             []atomic.Pointer[citizen]
	virtual                           []*citizen
	byName                            map[string]*citizen // of virtual
	born                              atomic.Int64
	target                            int64
	accepted, refused, handled, wrong atomic.Int64
}

func newWorld(t *testing.T, s *actor.ActorSystem, actors int) *world {
	w := &world{t: t, system: s, target: int64(actors), slots: make([]atomic.Pointer[citizen], max(64, actors/liveShare))}
	for name, cfg := range map[string]actor.DispatcherConfig{
		"heavy":    {Throughput: 20, MailboxSize: 10, MaxConcurrency: 4, Weight: 10},
		"light":    {Throughput: 1, MailboxSize: 10, MaxConcurrency: 1},
		"pinned":   {Throughput: 5, MailboxSize: 10, MaxConcurrency: 2, Kind: actor.Pinned},
		"blocking": {Throughput: 5, MailboxSize: 10, MaxConcurrency: 3, Kind: actor.Blocking},
	} {
		if err := s.RegisterDispatcher(name, cfg); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.slots {
		w.slots[i].Store(w.spawn())
	}
	w.registerVirtual(len(w.slots) / 8)
	return w
}

// spawn makes the next actor: of the four policies, on the four dispatchers,
// every third with a guardian.
func (w *world) spawn() *citizen {
	n := w.born.Add(1)
	l := &citizen{}
	p := actor.PropsOf(func() actor.ReceiverOf[parcel] { return &mortal{ledger: &l.ledger, world: w} }).
		WithDispatcher([]string{"heavy", "light", "pinned", "blocking"}[n/4%4]).
		WithMailbox(actor.Mailbox{Size: mailboxOfLife, Overflow: actor.Overflow(n % 4)})
	if n%3 == 0 {
		p = p.WithGuardian(supervise.Strategy{OnFailure: supervise.Restart})
	}
	ref, err := actor.Spawn(w.system.Engine(), p, fmt.Sprint(n))
	if err != nil {
		w.t.Error(err)
	}
	l.ref = ref
	return l
}

// registerVirtual makes actors that come and go with their state.
func (w *world) registerVirtual(n int) {
	w.virtual = make([]*citizen, n)
	w.byName = make(map[string]*citizen, n)
	for i := range w.virtual {
		w.virtual[i] = &citizen{}
		w.byName[fmt.Sprint("virtual/", i)] = w.virtual[i]
	}
	typ, err := actor.Register(w.system.Engine(), "virtual", actor.PropsOf(func() actor.ReceiverOf[parcel] {
		return &visitor{mortal: mortal{world: w}}
	}).WithDispatcher("heavy").WithMailbox(actor.Mailbox{Size: mailboxOfLife}).WithPassivation(actor.Passivation{
		Messages: stayOfLife, Limit: max(8, n/4), Store: snapshot.NewMemory(1 << 30),
	}))
	if err != nil {
		w.t.Fatal(err)
	}
	for i, l := range w.virtual {
		if l.ref, err = typ.Ref(fmt.Sprint(i)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// produce sends until all actors were born, and ends some.
func (w *world) produce(producer int32) {
	rnd := rand.New(rand.NewPCG(7, uint64(producer)))
	for w.born.Load() < w.target {
		if rnd.IntN(4) == 0 {
			w.send(rnd, producer, w.virtual[rnd.IntN(len(w.virtual))], false)
			continue
		}
		slot := &w.slots[rnd.IntN(len(w.slots))]
		l := slot.Load()
		w.send(rnd, producer, l, rnd.IntN(40) == 0)
		if rnd.IntN(deathRate) == 0 && slot.CompareAndSwap(l, w.spawn()) {
			end := l.ref.Stop
			if rnd.IntN(2) == 0 {
				end = l.ref.Poison
			}
			if err := end(); err != nil {
				w.t.Error(err)
			}
		}
	}
}

// send is one call of one of the ways to send.
func (w *world) send(rnd *rand.Rand, producer int32, l *citizen, crash bool) {
	lane := actor.Lane(rnd.IntN(int(actor.Control) + 1))
	if rnd.IntN(2) == 0 {
		lane = actor.Normal
	}
	to, next := l.ref.On(lane), &l.sent[producer][lane]
	var batch [batchOfLife]parcel
	for i := range batch {
		batch[i] = parcel{producer: producer, n: *next + int32(i), lane: lane, crash: crash}
	}
	n, err := 0, error(nil)
	switch rnd.IntN(4) {
	case 0:
		n, err = to.TellBatch(batch[:1+rnd.IntN(batchOfLife)])
	case 1:
		n, err = single(to.TellWait(w.t.Context(), batch[0]))
	default:
		n, err = single(to.Tell(batch[0]))
	}
	if err != nil {
		if !errors.Is(err, actor.ErrMailboxFull) && !errors.Is(err, actor.ErrStopped) {
			w.t.Error(err)
		}
		w.refused.Add(1)
	}
	*next += int32(n)
	w.accepted.Add(int64(n))
}

// single is how many messages a call accepted that brought one.
func single(err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// Actors are born and end under load, by Stop, by Poison and by panics; some are
// restarted, some leave memory and come back. Each message that was accepted was
// handled once, those of a producer and lane in order, or is in a counted drop;
// of a passivated state nothing is missing. Then nothing is left behind. make
// stress-actors runs it with a million.
func TestAMillionLives(t *testing.T) {
	before := heap()
	s, reg := newSystem(t)
	w := newWorld(t, s, *lives)
	var producers sync.WaitGroup
	for p := range int32(lifeProducers) {
		producers.Go(func() { w.produce(p) })
	}
	producers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	dropped := sum(t, reg, "atrium_actor_dead_letters_total")
	passivated := sum(t, reg, "atrium_actor_passivations_total")
	restarted := sum(t, reg, "atrium_actor_restarts_total")
	t.Logf("%d actors: %d messages accepted, %d calls refused, %d handled, %d dropped, %d restarts, %d passivations",
		w.born.Load(), w.accepted.Load(), w.refused.Load(), w.handled.Load(), dropped, restarted, passivated)
	if n := w.wrong.Load(); n != 0 {
		t.Errorf("%d messages out of order, twice, or missing from a state", n)
	}
	if w.handled.Load()+int64(dropped) != w.accepted.Load() {
		t.Errorf("%d accepted, but %d handled and %d dropped", w.accepted.Load(), w.handled.Load(), dropped)
	}
	if n := handled(t, reg); int64(n) != w.handled.Load() {
		t.Errorf("%d messages counted, %d handled", n, w.handled.Load())
	}
	for _, reason := range []string{"failure", "stopped", "overflow_oldest", "overflow_newest"} {
		if deadLetters(t, reg, reason) == 0 {
			t.Errorf("no message was dropped by reason %s: the run shows too little", reason)
		}
	}
	if w.refused.Load() == 0 || passivated == 0 || restarted == 0 {
		t.Error("no refusal, no passivation or no restart: the run shows too little")
	}
	if n := sum(t, reg, "atrium_actor_actors"); n != 0 {
		t.Errorf("%d actors live", n)
	}
	w.slots, w.virtual, w.byName = nil, nil, nil
	if left := heap() - before; left > heapLeft {
		t.Errorf("%d bytes are left behind", left)
	}
	runtime.KeepAlive(s)
}

// heap is what lives, once pools had time to let go.
func heap() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
