package uplink

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// pipe is a path to a gate, in steps of time: a router's queue in front of a
// link, then a journal that fsyncs what has come, one fsync after another.
type pipe struct {
	rate   float64 // of the link, bytes a second
	delay  time.Duration
	fsync  time.Duration
	frame  int           // bytes of a frame of the backlog
	live   int           // bytes of a live frame
	every  time.Duration // between live frames
	drains bool          // there is a backlog

	now      time.Time
	d        delivery
	p        pacer
	queue    float64 // bytes that wait in front of the link
	packets  []packet
	answers  []packet  // their acks
	frames   []*flying // sent at least in part, not acked
	journal  []*flying
	syncing  []*flying
	synced   time.Time
	acks     []*flying
	left     int // of the frame that leaves
	nextLive time.Time

	delivered float64
}

// packet is a piece of a frame on its way.
type packet struct {
	sent, due time.Time
	of        *flying
	last      bool
}

type flying struct {
	mark mark
	size int
	live bool
	due  time.Time // of the ack
}

const step = 250 * time.Microsecond

func (p *pipe) inflight(live bool) (n uint64) {
	for _, f := range p.frames {
		if live || !f.live {
			n += uint64(f.size)
		}
	}
	return n
}

// give puts n bytes in front of the link.
func (p *pipe) give(f *flying, n int, last bool) {
	size := max(packetSize, int(p.rate*step.Seconds())) // one a step is enough
	for left := n; left > 0; left -= size {
		p.queue += float64(min(left, size))
		at := p.now.Add(time.Duration(p.queue/p.rate*float64(time.Second)) + p.delay)
		p.packets = append(p.packets, packet{p.now, at, f, last && left <= size})
	}
	p.p.spend(p.now, uint64(n), &p.d)
}

func (p *pipe) begin(size int, live bool) *flying {
	f := &flying{mark: p.d.begin(p.now, p.inflight(true)), size: size, live: live}
	p.frames = append(p.frames, f)
	return f
}

func (p *pipe) send() {
	if p.every > 0 && !p.now.Before(p.nextLive) {
		p.nextLive = p.now.Add(p.every)
		f := p.begin(p.live, true)
		p.give(f, f.size, true)
		if !p.drains {
			p.d.limit(p.inflight(true))
		}
	}
	for p.drains && p.p.wait(p.now) <= 0 {
		if p.left == 0 {
			if p.inflight(false) >= p.d.allowed() {
				return
			}
			p.begin(p.frame, false)
			p.left = p.frame
		}
		f := p.frames[len(p.frames)-1]
		for i := len(p.frames) - 1; f.live; i-- {
			f = p.frames[i]
		}
		n := min(p.left, p.p.piece(&p.d))
		p.left -= n
		if p.left == 0 {
			f.mark.sent = p.now
		}
		p.give(f, n, p.left == 0)
	}
}

func (p *pipe) step() {
	p.now = p.now.Add(step)
	p.queue = max(0, p.queue-p.rate*step.Seconds())
	for len(p.packets) > 0 && !p.packets[0].due.After(p.now) {
		if first := p.packets[0]; first.last {
			p.journal = append(p.journal, first.of)
		}
		p.answers = append(p.answers, p.packets[0])
		p.packets = p.packets[1:]
	}
	for len(p.answers) > 0 && !p.answers[0].due.Add(p.delay).After(p.now) {
		p.p.packet(p.now, p.now.Sub(p.answers[0].sent), &p.d)
		p.answers = p.answers[1:]
	}
	if len(p.syncing) > 0 && !p.now.Before(p.synced) {
		for _, f := range p.syncing {
			f.due = p.now.Add(p.delay)
		}
		p.acks, p.syncing = append(p.acks, p.syncing...), nil
	}
	if len(p.syncing) == 0 && len(p.journal) > 0 {
		p.syncing, p.journal, p.synced = p.journal, nil, p.now.Add(p.fsync)
	}
	for len(p.acks) > 0 && !p.acks[0].due.After(p.now) {
		f := p.acks[0]
		p.acks = p.acks[1:]
		p.frames = slices.DeleteFunc(p.frames, func(o *flying) bool { return o == f })
		p.d.ack(p.now, &f.mark, uint64(f.size), f.live)
		p.delivered += float64(f.size)
	}
	p.send()
}

// run goes on for a time and says what became of it: of the estimate, and of
// the link's queue.
func (p *pipe) run(span time.Duration) string {
	before, queues := p.delivered, make([]int, 0, span/step)
	for range span / step {
		p.step()
		queues = append(queues, int(p.queue/p.rate*1000))
	}
	slices.Sort(queues)
	at := func(percent int) int { return queues[(len(queues)-1)*percent/100] }
	return fmt.Sprintf("goodput %.0f%%, rate %.0f%%, round trip %s, allowed %d KiB, waits p50 %d ms, p99 %d ms\n",
		(p.delivered-before)/span.Seconds()/p.rate*100, p.d.rate()/p.rate*100, p.p.rtt.least().Round(time.Millisecond), p.d.allowed()>>10, at(50), at(99))
}

func TestTheBacklogLeavesAsFastAsThePathTakesIt(t *testing.T) {
	datadriven.Walk(t, "testdata/delivery", func(t *testing.T, path string) {
		p := &pipe{now: time.Unix(0, 0)}
		datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string {
			switch c.Cmd {
			case "path":
				for _, arg := range c.CmdArgs {
					p.set(t, arg.Key, arg.Vals[0])
				}
				if p.d.delivered == 0 { // the handshake
					p.p.packet(p.now, 2*p.delay, &p.d)
				}
				return ""
			case "run":
				return p.run(duration(t, c.CmdArgs[0].Key))
			}
			t.Fatalf("unknown command %q", c.Cmd)
			return ""
		})
	})
}

func (p *pipe) set(t *testing.T, key, value string) {
	switch key {
	case "kbps":
		p.rate = float64(number(t, value)) * 1000 / 8
	case "delay":
		p.delay = duration(t, value)
	case "fsync":
		p.fsync = duration(t, value)
	case "frame":
		p.frame = number(t, value)
	case "live":
		p.live = number(t, value)
	case "every":
		p.every = duration(t, value)
	case "backlog":
		p.drains = value == "yes"
	default:
		t.Fatalf("unknown setting %q", key)
	}
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What the gate's credit held up tells how fast the gate is.
func TestFramesThatThePathDidNotHoldUpDoNotLowerTheRate(t *testing.T) {
	var d delivery
	now := time.Unix(0, 0)
	send := func(rate int, limited bool) float64 {
		for range 3 * rateRounds {
			if limited {
				d.limit(0)
			}
			m := d.begin(now, 0)
			now = now.Add(time.Second)
			d.ack(now, &m, uint64(rate), false)
		}
		return d.rate()
	}
	for _, c := range []struct {
		rate    int
		limited bool
		want    float64
	}{
		{1_000_000, false, 1_000_000},
		{100_000, true, 1_000_000},
		{2_000_000, true, 2_000_000}, // but what came was possible
		{100_000, false, 100_000},
	} {
		if got := send(c.rate, c.limited); got != c.want {
			t.Errorf("after %d bytes a second, limited %v: %.0f, want %.0f", c.rate, c.limited, got, c.want)
		}
	}
}

// A gateway's backlog often begins with an event. On a lossy path its ack came
// seconds later, and the 40 KiB behind it left at a hundred bytes a second.
func TestASmallFrameWhoseAckIsLateIsNoSlowPath(t *testing.T) {
	var d delivery
	var p pacer
	now := time.Unix(0, 0)
	p.packet(now, 100*time.Millisecond, &d)
	m := d.begin(now, 0)
	now = now.Add(2 * time.Second)
	d.ack(now, &m, 60, false)
	if got, want := p.rate(&d), float64(startPackets*packetSize*10); got != want {
		t.Errorf("the backlog goes at %.0f bytes a second, want the start's %.0f", got, want)
	}
	m = d.begin(now, 0)
	now = now.Add(time.Second)
	d.ack(now, &m, 40<<10, false)
	if got, want := d.rate(), float64(40<<10); got != want {
		t.Errorf("a large frame in a second is %.0f bytes a second, want %.0f", got, want)
	}
}
