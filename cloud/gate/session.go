package gate

import (
	"errors"
	"fmt"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// session decides what a connection's messages mean. It is pure: it holds no
// connection, no clock and no lock. Its inputs are messages (control, lane),
// commands for the gateway (command), the journal's answers (durable) and the
// journal's lag (credit); its outputs are what the caller must append now, and
// an outbox that the caller sends when it likes.
//
// After an error nothing more may be put in: the connection is over.
type session struct {
	gateway id.Gateway
	claim   func(id.Run) bool // whether the run is this gateway's; asked once a run

	versions wire.Versions // that this gate speaks
	version  uint64        // of these, the one that hello led to
	guide    guide         // what is to be said of other gates

	redirected string // the gate that the gateway was last told of

	phase phase
	runs  map[id.Run]*run
	// entries counts schemas and clocks of all runs.
	entries  int
	queue    []pending    // appended, not yet durable, in order
	first    uint64       // the ticket of queue[0]
	results  []id.Command // whose results are in queue, in order
	arrived  uint64       // bytes of lane messages that came
	released uint64       // of these, durable, rejected or discarded
	granted  uint64       // credit that the gateway was told of

	out       outbox
	scratches *scratches
}

// phase is how far the greeting is.
type phase uint8

const (
	wantHello phase = iota
	wantBind
	journaling // hello and bind are on their way into the journal
	open
	over // the connection has ended
)

// pending is an appended message.
type pending struct {
	run  *run // of a frame or gap
	last uint64
	size uint64 // of a lane message

	result bool // the next of session.results
	hello  bool // another one, after welcome
	done   bool
}

// closing is why a connection must end.
type closing struct {
	code wire.CloseCode
	text string
}

func (c *closing) Error() string { return c.code.String() + ": " + c.text }

func closef(code wire.CloseCode, format string, args ...any) error {
	return &closing{code, fmt.Sprintf(format, args...)}
}

// badMessage turns a parse error into the end of the connection.
func badMessage(kind wire.Kind, err error) error {
	var version *wire.VersionError
	if errors.As(err, &version) {
		return closef(wire.CloseVersion, "%v", err)
	}
	return closef(wire.CloseProtocol, "%s: %v", kind, err)
}

// verdict is what became of a message. One with a ticket must be appended to
// the journal, as it is, before the next message of the same stream is put in.
type verdict struct {
	kind      wire.Kind
	ticket    uint64            // for durable; 0: there is nothing to append
	rejected  wire.RejectReason // 0: not rejected
	discarded bool              // it follows a rejected one
	unknown   bool              // of a later version, which this one may skip
}

func newSession(gw id.Gateway, claim func(id.Run) bool, memory *scratches) *session {
	return &session{gateway: gw, claim: claim, versions: wire.Spoken(), runs: make(map[id.Run]*run), first: 1, scratches: memory}
}

// control takes a message of the control stream.
func (s *session) control(msg []byte) (verdict, error) {
	kind, err := wire.Peek(msg)
	if err != nil {
		return verdict{}, badMessage(kind, err)
	}
	switch {
	case kind == wire.KindHello && (s.phase == wantHello || s.phase == open):
		return s.takeHello(msg)
	case kind == wire.KindBind && (s.phase == wantBind || s.phase == open):
		return s.takeBind(msg)
	case kind == wire.KindResult && s.phase == open:
		return s.takeResult(msg)
	case kind == wire.KindAskTime && s.phase == open:
		return s.takeAskTime(msg)
	case kind.Optional() && s.phase == open:
		return verdict{unknown: true}, nil
	}
	return verdict{}, closef(wire.CloseProtocol, "%s on the control stream %s", kind, s.phase)
}

func (p phase) String() string {
	return [...]string{"instead of hello", "instead of bind", "before welcome", "after welcome", "after the end"}[p]
}

func (s *session) takeHello(msg []byte) (verdict, error) {
	hello, err := wire.ParseHello(msg)
	if err != nil {
		return verdict{}, badMessage(wire.KindHello, err)
	}
	version, ok := s.versions.Common(wire.Versions{Min: hello.Min, Max: hello.Max})
	if !ok {
		return verdict{}, closef(wire.CloseVersion, "the gateway speaks versions %d to %d, this gate %d to %d", hello.Min, hello.Max, s.versions.Min, s.versions.Max)
	}
	again := s.phase == open
	if !again {
		s.phase, s.version = wantBind, version
	}
	for _, info := range hello.Runs {
		if info.First > maxSeq || info.Last > maxSeq {
			return verdict{}, closef(wire.CloseProtocol, "hello: run %s: sequences beyond 2^63-1", info.Run)
		}
		if err := s.name(info); err != nil {
			return verdict{}, err
		}
	}
	return s.push(wire.KindHello, pending{hello: again}), nil
}

func (s *session) takeBind(msg []byte) (verdict, error) {
	bind, err := wire.ParseBind(msg)
	if err != nil {
		return verdict{}, badMessage(wire.KindBind, err)
	}
	for _, dev := range bind.Devices {
		if dev.Site != s.gateway.Site {
			return verdict{}, closef(wire.CloseForeignSite, "bind names %s, this gateway is of site %s", dev, s.gateway.Site)
		}
	}
	if s.phase == wantBind {
		s.phase = journaling
	}
	return s.push(wire.KindBind, pending{}), nil
}

// takeAskTime answers the latest question only: a gateway has one at a time.
func (s *session) takeAskTime(msg []byte) (verdict, error) {
	ask, err := wire.ParseAskTime(msg)
	if err != nil {
		return verdict{}, badMessage(wire.KindAskTime, err)
	}
	s.out.time = &wire.Time{Question: ask.Question}
	return verdict{}, nil
}

// push queues a message for its durable.
func (s *session) push(kind wire.Kind, p pending) verdict {
	s.queue = append(s.queue, p)
	return verdict{kind: kind, ticket: s.first + uint64(len(s.queue)) - 1}
}

// durable says that the message of a ticket is in the journal. Acks and
// settled results leave only here, and only over a prefix of all that was
// appended: what is not durable holds back everything after it (I2).
func (s *session) durable(ticket uint64) {
	if ticket < s.first || ticket-s.first >= uint64(len(s.queue)) {
		panic(fmt.Sprintf("BUG: gate: durable ticket %d of %d+%d", ticket, s.first, len(s.queue)))
	}
	s.queue[ticket-s.first].done = true
	for len(s.queue) > 0 && s.queue[0].done {
		p := s.queue[0]
		s.queue, s.first = s.queue[1:], s.first+1
		s.released += p.size
		switch {
		case p.run != nil:
			s.acked(p.run, p.last)
		case p.result:
			s.settleResult()
		case p.hello:
			s.out.welcome = true
		}
	}
	if len(s.queue) == 0 {
		s.queue = nil // let the array go
		if s.phase == journaling {
			s.phase, s.out.welcome = open, true
		}
	}
}

// acked takes a run's sequence into the next ack. A run that the gateway
// closed and that is durable to its end needs its schemas no more.
func (s *session) acked(r *run, seq uint64) {
	r.acked = max(r.acked, seq)
	s.out.ack(r)
	if r.closed && r.acked >= r.last && r.waiting == 0 {
		s.entries -= len(r.series) + len(r.clocks)
		r.series, r.clocks = nil, nil
	}
}

// credit renews the gateway's credit for a journal's lag. It tells the gateway
// of a step that matters, and whenever what is left might not let the next
// message through: nothing stands still for ever.
func (s *session) credit(lag int64) {
	w := window(lag)
	total := s.released + w
	if total <= s.granted || s.phase != open {
		return
	}
	if total-s.granted >= w/4 || s.granted-s.arrived < minWindow {
		s.granted, s.out.credit = total, total
	}
}
