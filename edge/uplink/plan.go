package uplink

import (
	"slices"
	"time"
)

// plan decides what is dialled when, over what, and which connection is kept.
// It is pure: Step takes what happened and returns what is to be done; random
// draws the jitter.
//
// At most one connection is current: the one that was welcomed last. Beside it,
// or without one, there is at most one attempt at another. An attempt dials
// UDP, and TCP when UDP gets no answer; whichever is answered first is greeted,
// and once it is welcomed the connection before it is retired. Nothing that
// happens to an attempt ends the current connection.
type plan struct {
	cloud    []string // what people configured
	learned  []string // what a gate told, without those
	at       int      // the next address of both
	retry    retry
	random   func() float64
	next     time.Time // no attempt of its own begins before
	blocked  bool      // UDP got no answer where TCP did
	held     *held
	try      *attempt
	attempts int

	target         string // of a redirect that waits for its attempt
	redirects      int    // followed since redirectsSince
	redirectsSince time.Time
}

// held is the current connection.
type held struct {
	addr    string
	network network
	since   time.Time
	silent  bool

	pause time.Duration // over TCP: between two tries of UDP
	probe time.Time     // when the next is due
}

// network is what a connection is made over.
type network uint8

const (
	udp network = iota
	tcp
)

func (n network) String() string { return [...]string{"udp", "tcp"}[n] }

// purpose is why an attempt is made; of one that succeeds, why the connection
// before it was left.
type purpose uint8

const (
	toConnect  purpose = iota // there is no connection
	forSilence                // the current one is silent
	toRedirect                // a gate said where to go
	toProbe                   // the current one goes over TCP: does UDP pass?
)

func (p purpose) String() string {
	return [...]string{"connect", "silent", "redirected", "udp"}[p]
}

// attempt is a connection in the making.
type attempt struct {
	number   int
	purpose  purpose
	addr     string
	dials    [2]dialState // by network
	tcpAt    time.Time    // when TCP is dialled too
	greeting bool         // hello was said on one of them
	over     network      // that one
	verdict  verdict      // of the dial that failed first
}

type dialState uint8

const (
	idle dialState = iota
	dialling
	failed
)

// happening is an input of the plan: one of the kinds below, with what it needs.
type happening struct {
	kind    happeningKind
	network network       // answered, failed
	verdict verdict       // failed, refused, ended
	later   time.Duration // refused: the gate's word, or 0
	addr    string        // redirect
	nodes   []string
}

type happeningKind uint8

const (
	ticked     happeningKind = iota
	answered                 // a dial's handshake is done
	dialFailed               // a dial failed
	refused                  // the attempt was greeted, and ended without welcome
	welcomed                 // the attempt is a connection
	ended                    // the current connection ended
	silent                   // the current connection owes an answer
	heard                    // and gave it
	redirected               // the current connection's gate names another
	told                     // it names all of them
)

// action is an output of the plan.
type action struct {
	kind    actionKind
	network network // dial, drop, greet
	addr    string  // dial
	round   int     // dial: how often the address was dialled before, more or less
	purpose purpose // retire: why
}

type actionKind uint8

const (
	dial   actionKind = iota // begin a handshake
	drop                     // forget a dial, under way or done
	greet                    // say hello on what was dialled
	retire                   // end the connection before the one just welcomed
	resume                   // the current connection goes on without an attempt
	ignore                   // a redirect is not followed
)

func newPlan(cloud, learned []string, retry retry, random func() float64) *plan {
	p := &plan{cloud: cloud, retry: retry, random: random}
	p.learn(learned)
	return p
}

// Step takes what happened and returns what is to be done, in order.
func (p *plan) Step(now time.Time, h happening) []action {
	var out []action
	switch h.kind {
	case answered:
		out = p.answered(h.network)
	case dialFailed:
		out = p.dialFailed(now, h)
	case refused:
		out = p.refused(now, h)
	case welcomed:
		out = p.welcomed(now)
	case ended:
		p.ended(now, h.verdict)
	case silent:
		p.held.silent, p.next = true, now
		p.prefer(p.held.addr)
	case heard:
		out = p.heard()
	case redirected:
		out = p.redirected(now, h.addr)
	case told:
		p.learn(h.nodes)
	case ticked:
	}
	return append(out, p.advance(now)...)
}

// advance does what is due.
func (p *plan) advance(now time.Time) []action {
	switch {
	case p.try != nil:
		if t := p.try; !t.greeting && t.dials[tcp] == idle && !t.tcpAt.IsZero() && !now.Before(t.tcpAt) {
			t.dials[tcp] = dialling
			return []action{p.dial(tcp)}
		}
	case p.held == nil || p.held.silent:
		if now.Before(p.next) {
			return nil
		}
		purpose := toConnect
		if p.held != nil {
			purpose = forSilence
		}
		return p.begin(now, purpose, p.address())
	case p.target != "":
		addr := p.target
		p.target = ""
		return p.begin(now, toRedirect, addr)
	case p.held.network == tcp && !now.Before(p.held.probe):
		return p.begin(now, toProbe, p.held.addr)
	}
	return nil
}

// wake returns when Step is next to be called without anything happening; zero
// for never.
func (p *plan) wake() time.Time {
	switch {
	case p.try != nil:
		if p.try.greeting || p.try.dials[tcp] != idle {
			return time.Time{}
		}
		return p.try.tcpAt
	case p.held == nil || p.held.silent:
		return p.next
	case p.held.network == tcp:
		return p.held.probe
	}
	return time.Time{}
}

// begin dials an address over UDP; TCP follows after a while, at once if UDP
// got no answer lately, and never for a probe.
func (p *plan) begin(now time.Time, why purpose, addr string) []action {
	p.attempts++
	p.try = &attempt{number: p.attempts, purpose: why, addr: addr}
	p.try.dials[udp] = dialling
	if why != toProbe {
		p.try.tcpAt = now.Add(tcpDelay)
		if p.blocked {
			p.try.tcpAt = now
		}
	}
	return append([]action{p.dial(udp)}, p.advance(now)...)
}

// dial is of the attempt's address. A host with several addresses has the next
// one tried when the rotation has come around.
func (p *plan) dial(over network) action {
	return action{kind: dial, network: over, addr: p.try.addr, round: p.try.number / (len(p.cloud) + len(p.learned))}
}

func (p *plan) answered(by network) []action {
	t := p.try
	t.greeting, t.over = true, by
	p.blocked = by == tcp
	out := []action{{kind: greet, network: by}}
	if other := udp + tcp - by; t.dials[other] == dialling {
		out = append(out, action{kind: drop, network: other})
	}
	return out
}

// dialFailed goes on over TCP if UDP got no answer. What a gate refused over
// one it refuses over the other.
func (p *plan) dialFailed(now time.Time, h happening) []action {
	t := p.try
	t.dials[h.network] = failed
	other := udp + tcp - h.network
	switch {
	case h.verdict.final && h.network == udp:
		var out []action
		if t.dials[tcp] == dialling {
			out = append(out, action{kind: drop, network: tcp})
		}
		p.fail(now, h.verdict, 0)
		return out
	case t.dials[other] == dialling:
		t.verdict = h.verdict
	case other == tcp && t.dials[tcp] == idle && !t.tcpAt.IsZero():
		t.tcpAt = now // advance dials it
	case t.verdict.pace == slow:
		p.fail(now, t.verdict, 0)
	default:
		p.fail(now, h.verdict, 0)
	}
	return nil
}

func (p *plan) refused(now time.Time, h happening) []action {
	p.fail(now, h.verdict, h.later)
	if p.held != nil {
		return []action{{kind: resume}}
	}
	return nil
}

// fail ends the attempt and decides when the next one is due.
func (p *plan) fail(now time.Time, v verdict, later time.Duration) {
	why := p.try.purpose
	p.try = nil
	switch {
	case p.held != nil && why == toProbe:
		p.held.pause = min(2*p.held.pause, probeMost)
		p.held.probe = now.Add(p.jittered(p.held.pause))
	case p.held != nil && why == toRedirect:
		// The connection that there is stays.
	default:
		p.at++
		wait := p.retry.next(v.pace, 0, p.random())
		if later > 0 {
			wait = later + time.Duration(p.random()*float64(later))
		}
		p.next = now.Add(wait)
	}
}

// jittered draws from the second half of a pause and as much after it.
func (p *plan) jittered(pause time.Duration) time.Duration {
	return pause/2 + time.Duration(p.random()*float64(pause))
}

func (p *plan) welcomed(now time.Time) []action {
	t, before := p.try, p.held
	p.try = nil
	p.held = &held{addr: t.addr, network: t.over, since: now}
	p.prefer(t.addr)
	if t.over == tcp {
		p.held.pause = probeLeast
		p.held.probe = now.Add(p.jittered(probeLeast))
	}
	if before == nil {
		return nil
	}
	return []action{{kind: retire, purpose: t.purpose}}
}

// ended leaves an attempt alone that is under way: it is what the gateway has
// now.
func (p *plan) ended(now time.Time, v verdict) {
	lasted := now.Sub(p.held.since)
	p.held = nil
	if t := p.try; t != nil {
		if t.purpose == toProbe {
			t.tcpAt = now.Add(tcpDelay)
		}
		t.purpose = toConnect
		return
	}
	p.target = ""
	if v.moved && lasted >= stableAfter {
		p.next = now // the gate is there: the same address, at once
		return
	}
	p.at++
	p.next = now.Add(p.retry.next(v.pace, lasted, p.random()))
}

// heard gives up an attempt that was made for silence, unless hello was said:
// then the gate has ended the current connection, or is about to.
func (p *plan) heard() []action {
	p.held.silent = false
	if p.try == nil || p.try.purpose != forSilence || p.try.greeting {
		return nil
	}
	var out []action
	for n, state := range p.try.dials {
		if state == dialling {
			out = append(out, action{kind: drop, network: network(n)})
		}
	}
	p.try = nil
	return out
}

// redirected follows a redirect, but not in circles.
func (p *plan) redirected(now time.Time, addr string) []action {
	if now.Sub(p.redirectsSince) > redirectWindow {
		p.redirects, p.redirectsSince = 0, now
	}
	if addr == p.held.addr || p.redirects == maxRedirects {
		return []action{{kind: ignore}}
	}
	p.redirects++
	p.target = addr
	return nil
}

// learn takes the addresses of the cluster's gates.
func (p *plan) learn(nodes []string) {
	p.learned = nil
	for _, a := range nodes {
		if !slices.Contains(p.cloud, a) && !slices.Contains(p.learned, a) {
			p.learned = append(p.learned, a)
		}
	}
}

// address is the next address in the rotation: what people configured, then
// what a gate told.
func (p *plan) address() string {
	if i := p.at % (len(p.cloud) + len(p.learned)); i >= len(p.cloud) {
		return p.learned[i-len(p.cloud)]
	}
	return p.cloud[p.at%(len(p.cloud)+len(p.learned))]
}

// prefer has the rotation go on from an address, if it is one of the rotation.
func (p *plan) prefer(addr string) {
	if i := slices.Index(slices.Concat(p.cloud, p.learned), addr); i >= 0 {
		p.at = i
	}
}
