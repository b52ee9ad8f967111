package gate

import (
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// outbox is what a session has to say. It is bounded by the runs, of which each
// has at most one reject and one place in an ack, by maxOrders and by
// wire.MaxSettled.
type outbox struct {
	welcome bool
	guided  bool       // the session's guide is to be said, if welcome does not say it
	time    *wire.Time // an answer without its time
	credit  uint64     // 0: none
	acks    []*run
	rejects []wire.Reject
	where   []*run // of rejects
	settled []id.Command
	orders  []order
}

func (o *outbox) ack(r *run) {
	if !r.inAck {
		r.inAck = true
		o.acks = append(o.acks, r)
	}
}

// reject replaces a run's reject that was not yet sent.
func (o *outbox) reject(r *run, m wire.Reject) {
	o.withdraw(r)
	r.rejected = true
	o.rejects, o.where = append(o.rejects, m), append(o.where, r)
}

// withdraw drops a run's reject that was not yet sent: what it asks for has come.
func (o *outbox) withdraw(r *run) {
	if !r.rejected {
		return
	}
	r.rejected = false
	i := slices.Index(o.where, r)
	o.rejects, o.where = slices.Delete(o.rejects, i, i+1), slices.Delete(o.where, i, i+1)
}

// empty reports whether there is nothing to send.
func (o *outbox) empty() bool {
	return !o.welcome && !o.guided && o.time == nil && o.credit == 0 && len(o.acks) == 0 && len(o.rejects) == 0 &&
		len(o.settled) == 0 && len(o.orders) == 0
}

// urgent reports whether something should not wait for further acks.
func (o *outbox) urgent() bool {
	return o.welcome || o.guided || o.time != nil || o.credit != 0 || len(o.rejects) > 0 || len(o.orders) > 0
}

// taken counts the commands of an outbox that was taken.
type taken struct {
	sent    int
	expired int // waited until they could no longer begin: not in the bytes
}

// take returns the messages of the outbox as items of the control stream and
// empties it. Welcome is ahead of everything. Acks come before rejects: a
// rejected sequence is above what is acked.
func (s *session) take(welcome wire.Welcome, now time.Time) (dst []byte, commands taken) {
	o := &s.out
	var msg []byte
	if o.welcome {
		welcome.Version, welcome.Now, welcome.Credit = s.version, uint64(now.UnixMilli()), s.granted
		msg = welcome.Append(msg[:0])
		dst = wire.AppendItem(dst, msg)
	}
	if o.welcome || o.guided {
		dst = s.guide.append(dst)
		s.guide = guide{} // said once
	}
	for len(o.acks) > 0 {
		n := min(len(o.acks), wire.MaxRuns)
		ack := wire.Ack{Runs: make([]wire.RunSeq, n)}
		for i, r := range o.acks[:n] {
			ack.Runs[i] = wire.RunSeq{Run: r.name, Seq: r.acked}
			r.inAck = false
		}
		o.acks = o.acks[n:]
		msg = ack.Append(msg[:0])
		dst = wire.AppendItem(dst, msg)
	}
	for i := range o.rejects {
		o.where[i].rejected = false
		msg = o.rejects[i].Append(msg[:0])
		dst = wire.AppendItem(dst, msg)
	}
	if o.time != nil {
		o.time.Now = uint64(now.UnixMilli())
		msg = o.time.Append(msg[:0])
		dst = wire.AppendItem(dst, msg)
	}
	if o.credit != 0 && !o.welcome {
		msg = (&wire.Credit{Total: o.credit}).Append(msg[:0])
		dst = wire.AppendItem(dst, msg)
	}
	if len(o.settled) > 0 {
		msg = (&wire.Settled{IDs: o.settled}).Append(msg[:0])
		dst = wire.AppendItem(dst, msg)
	}
	dst, commands = o.takeOrders(dst, now)
	*o = outbox{}
	return dst, commands
}

// takeOrders appends the commands with the time that is left of each: what it
// waited here is gone.
func (o *outbox) takeOrders(dst []byte, now time.Time) ([]byte, taken) {
	var n taken
	var msg []byte
	for i := range o.orders {
		left := o.orders[i].until.Sub(now).Milliseconds()
		if left <= 0 {
			n.expired++
			continue
		}
		n.sent++
		o.orders[i].Remaining = uint64(left)
		msg = o.orders[i].Append(msg[:0])
		dst = wire.AppendItem(dst, msg)
	}
	return dst, n
}
