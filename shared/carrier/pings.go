package carrier

import "time"

// pings asks for signs of life over TCP, whose own acks are not seen here, and
// measures the round trip. It is guarded by its connection's lock.
type pings struct {
	cfg   TCPConfig
	timer *time.Timer

	last   time.Time // when something came
	spoken bool      // something that is not a ping went out since
	asked  time.Time // when the first unanswered ping was due; zero if none was
	due    bool      // a ping is to be sent

	rtt, least time.Duration
}

// begin starts the timer; a client asks at once, for the first round trip.
func (p *pings) begin(c *tcpConn, client bool) {
	p.cfg, p.last = c.cfg, c.started
	p.due = client
	p.timer = time.AfterFunc(p.pause(c.started), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ctx.Err() != nil {
			return
		}
		now := time.Now()
		if !p.tick(now) {
			c.fail(ErrSilent)
			return
		}
		if p.due {
			c.look()
		}
		p.timer.Reset(p.pause(now))
	})
}

func (p *pings) stop() { p.timer.Stop() }

// tick decides whether to ask. It is false when the other side has been silent
// for too long.
func (p *pings) tick(now time.Time) bool {
	quiet := now.Sub(p.last)
	if quiet >= p.cfg.Idle {
		return false
	}
	if p.cfg.KeepAlive > 0 && (p.spoken || !p.asked.IsZero() || quiet >= p.cfg.KeepAlive) {
		p.due = true
		if p.asked.IsZero() {
			p.asked = now
		}
	}
	return true
}

// pause is until the next tick.
func (p *pings) pause(now time.Time) time.Duration {
	switch {
	case p.cfg.KeepAlive == 0:
		return max(p.cfg.Idle-now.Sub(p.last), pingAfter)
	case p.spoken || !p.asked.IsZero():
		return pingAfter
	}
	return max(p.cfg.KeepAlive-now.Sub(p.last), pingAfter)
}

// take says whether a ping is to be sent, once.
func (p *pings) take() bool {
	due := p.due
	p.due = false
	return due
}

// spoke notes that something was sent that the other side answers.
func (p *pings) spoke() {
	if p.spoken || p.cfg.KeepAlive == 0 {
		return
	}
	p.spoken = true
	p.timer.Reset(pingAfter)
}

func (p *pings) heard(now time.Time) { p.last, p.spoken, p.asked = now, false, time.Time{} }

// answered takes a round trip; smoothed as RFC 6298 does.
func (p *pings) answered(rtt time.Duration) {
	if rtt < 0 {
		return // not our number
	}
	if p.rtt == 0 {
		p.rtt, p.least = rtt, rtt
	}
	p.rtt += (rtt - p.rtt) / 8
	p.least = min(p.least, rtt)
}

func (p *pings) path(now time.Time) Path {
	path := Path{RTT: p.rtt, MinRTT: p.least}
	if !p.asked.IsZero() {
		path.Quiet = now.Sub(p.asked)
	}
	return path
}
