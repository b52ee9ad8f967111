package uplink

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// flight counts what is on its way on one connection: the credit that it uses
// up, and the frames without an ack. Lanes wait in it for their turn.
type flight struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a waiter may go on

	credit  uint64 // bytes that may be sent in all
	sent    uint64 // bytes sent, or about to be
	waiting int    // live frames that wait for credit
	runs    map[id.Run]*runFlight
	unacked [lanes]uint64 // bytes without an ack, by lane

	latest   func() time.Duration
	delivery delivery
	pacer    pacer
	drains   bool   // the backlog has frames to send
	acked    uint64 // bytes of the backlog
}

// lanes is one more than the greatest lane.
const lanes = wire.LaneBacklog + 1

// runFlight is what was sent of a run and not acked, in order.
type runFlight struct {
	lane    wire.Lane
	entries []entry
	highest uint64 // the highest sequence sent since the last reject
	acked   uint64

	interrupt context.CancelCauseFunc // ends the turn under way
	rewind    *rewind                 // what the next turn begins with

	// The last rejected sequence, how often it was, and the last one that was
	// put into quarantine.
	rejected, quarantined uint64
	attempts              int
}

// rewind is where a run goes on after a reject.
type rewind struct {
	seq    uint64
	resend bool // schemas and clocks, too
}

// errRewound ends a turn whose run was rejected.
var errRewound = errors.New("rewound")

type entry struct {
	last uint64
	size uint64
	mark mark
}

// newFlight returns a flight with a credit; latest is the round trip of the
// carrier's last packet, 0 if it is not known.
func newFlight(credit uint64, latest func() time.Duration) *flight {
	return &flight{changed: make(chan struct{}), credit: credit, latest: latest, runs: make(map[id.Run]*runFlight)}
}

// turn begins a turn of a run: a context that ends at the run's next reject,
// and where to go on after the last.
func (f *flight) turn(ctx context.Context, lane wire.Lane, run id.Run) (context.Context, *rewind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[run]
	if r == nil {
		r = &runFlight{lane: lane}
		f.runs[run] = r
	}
	if r.interrupt != nil {
		r.interrupt(nil)
	}
	var turn context.Context
	turn, r.interrupt = context.WithCancelCause(ctx)
	rw := r.rewind
	r.rewind = nil
	return turn, rw
}

// start waits until a frame of size bytes that ends with a run's sequence last
// may be sent, and counts it as sent. It fails when the turn has ended, so that
// nothing is sent past a reject.
func (f *flight) start(turn context.Context, run id.Run, last, size uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[run]
	if err := f.spend(turn, r.lane, size, f.mayFly); err != nil {
		return err
	}
	r.highest = max(r.highest, last)
	if !f.drains {
		f.delivery.limit(f.inFlight() + size)
	}
	r.entries = append(r.entries, entry{last, size, f.delivery.begin(time.Now(), f.inFlight())})
	f.unacked[r.lane] += size
	return nil
}

// pace waits until n more bytes of the frame that a run's sequence last ends
// may leave: those of the backlog as fast as the path takes them. It ends only
// with ctx, because what has begun must be written whole.
func (f *flight) pace(ctx context.Context, run id.Run, last, n uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[run]
	for r.lane == wire.LaneBacklog {
		wait := f.pacer.wait(time.Now())
		if wait <= 0 {
			break
		}
		if err := f.sleep(ctx, wait); err != nil {
			return err
		}
	}
	now := time.Now()
	f.pacer.packet(now, f.latest(), &f.delivery)
	f.pacer.spend(now, n, &f.delivery)
	// A frame that was rejected as it left is not among the entries any more.
	if i := len(r.entries) - 1; i >= 0 && r.entries[i].last == last {
		r.entries[i].mark.sent = now
	}
	return nil
}

// sleep waits, with f unlocked meanwhile.
func (f *flight) sleep(ctx context.Context, wait time.Duration) error {
	f.mu.Unlock()
	defer f.mu.Lock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// piece is how many bytes of a frame of n leave at once.
func (f *flight) piece(lane wire.Lane, n int) int {
	if lane == wire.LaneLive {
		return n
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return min(n, f.pacer.piece(&f.delivery))
}

// estimate is what acks and packets have told of the path.
type estimate struct {
	rate   float64       // bytes a second; 0 before the first ack of the backlog
	minRTT time.Duration // of packets; 0 if it is not known
	limit  uint64        // bytes of the backlog that may be on their way
	acked  uint64        // bytes of the backlog
	drains bool          // there is a backlog that is not acked
	hungry bool          // live frames wait for credit
}

func (f *flight) estimate() estimate {
	f.mu.Lock()
	defer f.mu.Unlock()
	return estimate{
		rate: f.delivery.rate(), minRTT: f.pacer.rtt.least(), limit: f.delivery.allowed(),
		acked: f.acked, drains: f.drains || f.unacked[wire.LaneBacklog] > 0, hungry: f.waiting > 0,
	}
}

func (f *flight) inFlight() uint64 { return f.unacked[wire.LaneLive] + f.unacked[wire.LaneBacklog] }

// drain says whether a lane has frames to send without waiting for a reading.
func (f *flight) drain(lane wire.Lane, has bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lane == wire.LaneBacklog {
		f.drains = has
	}
}

// announce is start for a schema or clock, which has no ack of its own.
func (f *flight) announce(turn context.Context, lane wire.Lane, size uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spend(turn, lane, size, f.may)
}

// spend waits until allowed says yes and takes size bytes of credit.
func (f *flight) spend(turn context.Context, lane wire.Lane, size uint64, allowed func(wire.Lane, uint64) bool) error {
	if lane == wire.LaneLive && !allowed(lane, size) {
		f.waiting++
		defer func() {
			f.waiting--
			f.wake() // the backlog gave way
		}()
	}
	for turn.Err() == nil && !allowed(lane, size) {
		if !f.may(lane, size) {
			f.delivery.limit(f.inFlight()) // the gate holds us up, not the path
		}
		f.wait(turn)
	}
	if turn.Err() != nil {
		return context.Cause(turn)
	}
	f.sent += size
	return nil
}

// may says whether the credit has room for size bytes. The backlog gives way
// to live frames and leaves them liveReserve. A gate's credit covers
// wire.MaxFrame when everything is acked, so that the reserve shrinks for what
// is larger.
func (f *flight) may(lane wire.Lane, size uint64) bool {
	if lane == wire.LaneLive {
		return f.sent+size <= f.credit
	}
	reserve := min(liveReserve, wire.MaxFrame-min(size, wire.MaxFrame))
	return f.waiting == 0 && f.sent+size+reserve <= f.credit
}

// mayFly is may for a frame, of which the backlog begins none while all that
// the path holds is on its way.
func (f *flight) mayFly(lane wire.Lane, size uint64) bool {
	return f.may(lane, size) && (lane == wire.LaneLive || f.unacked[lane] < f.delivery.allowed())
}

// wait returns after a change or the end of ctx, with f locked again.
func (f *flight) wait(ctx context.Context) {
	changed := f.changed
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// waitRewind waits until some run of the backlog was rejected after it ended,
// and returns it.
func (f *flight) waitRewind(ctx context.Context, runs []id.Run) (id.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ctx.Err() == nil {
		for _, name := range runs {
			if r := f.runs[name]; r != nil && r.rewind != nil {
				return name, nil
			}
		}
		f.wait(ctx)
	}
	return id.Run{}, context.Cause(ctx)
}

func (f *flight) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// grant raises the credit to total.
func (f *flight) grant(total uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if total > f.credit {
		f.credit = total
		f.wake()
	}
}

// ack takes out what a cumulative ack covers. It is false if the sequence was
// never sent on this connection.
func (f *flight) ack(run id.Run, seq uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[run]
	if r == nil || seq > r.highest {
		return false
	}
	r.acked = max(r.acked, seq)
	n := 0
	for n < len(r.entries) && r.entries[n].last <= seq {
		e := &r.entries[n]
		f.unacked[r.lane] -= e.size
		if r.lane == wire.LaneBacklog {
			f.acked += e.size
		}
		f.delivery.ack(time.Now(), &e.mark, e.size, r.lane == wire.LaneLive)
		n++
	}
	r.entries = append(r.entries[:0], r.entries[n:]...)
	f.wake()
	return true
}

// answer is what to do about a reject.
type answer uint8

const (
	stray      answer = iota // nothing: the sequence is not outstanding
	resend                   // announce schemas and clocks again, then the same frame
	quarantine               // put a gap in the frame's place
	refuse                   // end the connection: the gate refuses every answer
)

// reject decides about a reject (PROTOCOL.md, Streams, 5). The caller carries
// the answer out, then calls rewind.
func (f *flight) reject(run id.Run, seq uint64, reason wire.RejectReason) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[run]
	if r == nil || seq > r.highest || seq <= r.acked {
		return stray
	}
	if r.rejected != seq {
		r.rejected, r.attempts = seq, 0
	}
	r.attempts++
	unknown := reason == wire.RejectUnknownSchema || reason == wire.RejectUnknownClock
	switch {
	case reason == wire.RejectForeignRun, r.quarantined == seq, r.attempts > maxAttempts:
		return refuse
	case unknown && r.attempts < maxAttempts:
		return resend
	}
	r.quarantined = seq
	return quarantine
}

// rewind ends the run's turn and takes out what will be sent again, from seq
// on.
func (f *flight) rewind(run id.Run, to rewind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[run]
	n := 0
	for n < len(r.entries) && r.entries[n].last < to.seq {
		n++
	}
	for i := n; i < len(r.entries); i++ {
		f.unacked[r.lane] -= r.entries[i].size
	}
	r.entries = r.entries[:n]
	r.highest = to.seq - 1 // acks never pass a rejected sequence
	r.rewind = &to
	r.interrupt(errRewound)
	f.wake()
}

// oldest returns when the longest unacked frame was sent.
func (f *flight) oldest() (at time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.runs {
		if len(r.entries) > 0 && (!ok || r.entries[0].mark.sent.Before(at)) {
			at, ok = r.entries[0].mark.sent, true
		}
	}
	return at, ok
}
