package gate

import (
	"errors"
	"sync"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// scratch is the memory that a frame is decoded into: 17 MB for the rows and
// columns that a small frame may have. It is taken for one frame, so that a
// connection keeps none of it (I5).
type scratch struct {
	unpack wire.Unpacker
	frame  wire.Frame
	rows   wire.Rows
}

// scratches are the sessions' common memory for decoding: in use are about as
// many as there are cores, as a decode waits for nothing.
type scratches struct{ pool sync.Pool }

func (p *scratches) take() *scratch {
	if sc, ok := p.pool.Get().(*scratch); ok {
		return sc
	}
	return new(scratch)
}

// give returns sc, which must not keep the message that it was used for.
func (p *scratches) give(sc *scratch) {
	clear(sc.frame.Blocks)
	p.pool.Put(sc)
}

// laneStart takes the first message of a lane.
func (s *session) laneStart(msg []byte) (wire.Lane, error) {
	if s.phase != open {
		return 0, closef(wire.CloseProtocol, "a lane %s", s.phase)
	}
	m, err := wire.ParseLaneStart(msg)
	if err != nil {
		return 0, badMessage(wire.KindLane, err)
	}
	return m.Lane, nil
}

// lane takes a later message of a lane.
func (s *session) lane(msg []byte) (verdict, error) {
	s.arrived += uint64(len(msg))
	if s.arrived > s.granted {
		return verdict{}, closef(wire.CloseProtocol, "%d bytes of lane messages with a credit of %d", s.arrived, s.granted)
	}
	kind, err := wire.Peek(msg)
	if err != nil {
		return verdict{}, badMessage(kind, err)
	}
	var v verdict
	switch kind {
	case wire.KindSchema:
		v, err = s.takeSchema(msg)
	case wire.KindClock:
		v, err = s.takeClock(msg)
	case wire.KindHello, wire.KindWelcome, wire.KindLane, wire.KindBind, wire.KindAck, wire.KindReject, wire.KindCredit, wire.KindCommand, wire.KindResult, wire.KindSettled, wire.KindNodes, wire.KindRedirect, wire.KindLater, wire.KindAskTime, wire.KindTime:
		err = closef(wire.CloseProtocol, "%s on a lane", kind)
	default:
		if kind.Optional() {
			v.unknown = true
			break
		}
		v, err = s.takeSequenced(kind, msg)
	}
	if err == nil && v.ticket == 0 {
		s.released += uint64(len(msg)) // nothing waits for it
	}
	return v, err
}

// takeSchema learns a series of a run. One that this connection has journaled
// already is not journaled again.
func (s *session) takeSchema(msg []byte) (verdict, error) {
	m, err := wire.ParseSchema(msg)
	if err != nil {
		return verdict{}, badMessage(wire.KindSchema, err)
	}
	if m.Device.Site != s.gateway.Site {
		return verdict{}, closef(wire.CloseForeignSite, "schema of %s, this gateway is of site %s", m.Device, s.gateway.Site)
	}
	r, err := s.run(m.Run)
	if err != nil || r.foreign {
		return verdict{}, err
	}
	def := series{device: m.Device, hash: m.Hash, grid: m.Grid, digest: m.Digest}
	if known, ok := r.series[m.SID]; ok {
		def.shape = known.shape
		if def != known {
			return verdict{}, closef(wire.CloseProtocol, "schema: sid %d of run %s is redefined", m.SID, m.Run)
		}
		return verdict{}, nil
	}
	body, err := wire.ParseBody(m.Body)
	if err != nil {
		return verdict{}, badMessage(wire.KindSchema, err)
	}
	if err := s.entry(); err != nil {
		return verdict{}, err
	}
	def.shape = wire.ShapeOf(body.Columns)
	r.addSeries(m.SID, def)
	return s.push(wire.KindSchema, pending{size: uint64(len(msg))}), nil
}

// takeClock learns a clock mapping of a run.
func (s *session) takeClock(msg []byte) (verdict, error) {
	m, err := wire.ParseClock(msg)
	if err != nil {
		return verdict{}, badMessage(wire.KindClock, err)
	}
	r, err := s.run(m.Run)
	if err != nil || r.foreign {
		return verdict{}, err
	}
	if known, ok := r.clocks[m.Clk]; ok {
		if known != m {
			return verdict{}, closef(wire.CloseProtocol, "clock: clk %d of run %s is redefined", m.Clk, m.Run)
		}
		return verdict{}, nil
	}
	if err := s.entry(); err != nil {
		return verdict{}, err
	}
	r.addClock(m)
	return s.push(wire.KindClock, pending{size: uint64(len(msg))}), nil
}

func (s *session) entry() error {
	if s.entries == maxEntries {
		return closef(wire.CloseProtocol, "more than %d schemas and clocks on a connection", maxEntries)
	}
	s.entries++
	return nil
}

// takeSequenced takes a frame, a gap, or a message of a kind that is not known
// here and may have a sequence.
func (s *session) takeSequenced(kind wire.Kind, msg []byte) (verdict, error) {
	name, first, last, err := wire.PeekSeq(msg)
	if err != nil {
		return verdict{}, badMessage(kind, err)
	}
	r, err := s.run(name)
	if err != nil {
		return verdict{}, err
	}
	if r.waiting != 0 && (r.waiting < first || r.waiting > last) {
		return verdict{kind: kind, discarded: true}, nil // go-back-N: it comes again
	}
	if r.next != 0 && first > r.next {
		return verdict{}, closef(wire.CloseProtocol, "run %s: sequence %d after %d", name, first, r.next-1)
	}
	if err := s.decode(r, kind, last, msg); err != nil {
		var bad *wire.Error
		if !errors.As(err, &bad) {
			return verdict{}, badMessage(kind, err)
		}
		r.waiting = first
		s.out.reject(r, wire.Reject{Run: name, Seq: first, Reason: bad.Reason, Text: bad.Error()})
		return verdict{kind: kind, rejected: bad.Reason}, nil
	}
	r.waiting, r.next = 0, max(r.next, last+1)
	s.out.withdraw(r)
	return s.push(kind, pending{run: r, last: last, size: uint64(len(msg))}), nil
}

// decode reads a whole message, so that what is journaled can be applied. A
// frame's values are thrown away.
//
// A gap is taken in a foreign run too: it is what the gateway sends in place of
// each frame that was rejected there.
func (s *session) decode(r *run, kind wire.Kind, last uint64, msg []byte) error {
	switch {
	case last > maxSeq:
		return refuse(wire.RejectLimit, "seq", "is beyond 2^63-1")
	case kind == wire.KindGap:
		_, err := wire.ParseGap(msg)
		return err
	case !kind.IsFrame():
		return refuse(wire.RejectUnsupportedKind, "kind", "is not one of version 1")
	case r.foreign:
		return refuse(wire.RejectForeignRun, "run", "is another gateway's")
	}
	sc := s.scratches.take()
	defer s.scratches.give(sc)
	f := &sc.frame
	if err := sc.unpack.Parse(f, msg); err != nil {
		return err
	}
	if _, ok := r.clocks[f.Clk]; !ok {
		return refuse(wire.RejectUnknownClock, "clk", "is not announced on this connection")
	}
	for _, b := range f.Blocks {
		def, ok := r.series[b.SID]
		if !ok {
			return refuse(wire.RejectUnknownSchema, "sid", "is not announced on this connection")
		}
		if err := wire.ParseColumns(b.Data, b.N, def.shape, def.grid, 0, &sc.rows); err != nil {
			return err
		}
	}
	return nil
}

func refuse(reason wire.RejectReason, at, why string) error {
	return &wire.Error{Reason: reason, At: at, Err: errors.New(why)}
}

// run finds a run that a hello of this connection named. The owner knows no
// other, and could not apply what is acked of it (I1).
func (s *session) run(name id.Run) (*run, error) {
	r, ok := s.runs[name]
	if !ok {
		return nil, closef(wire.CloseProtocol, "run %s was not named by hello", name)
	}
	return r, nil
}

// name learns a run of a hello.
func (s *session) name(info wire.RunInfo) error {
	r := s.runs[info.Run]
	if r == nil {
		if info.State != wire.RunOpen && info.First > info.Last {
			return nil // it has ended, and nothing of it is left to come
		}
		if len(s.runs) == maxRuns {
			return closef(wire.CloseProtocol, "more than %d runs on a connection", maxRuns)
		}
		r = &run{name: info.Run, foreign: !s.claim(info.Run)}
		s.runs[info.Run] = r
	}
	r.end(info)
	return nil
}
