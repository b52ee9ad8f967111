package link

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what the control accepts.
const (
	maxDelayMS = 60_000     // a minute each way is beyond any transport's patience
	maxKbps    = 10_000_000 // above it the relay, not the rate, is the limit
)

// State is what GET /state shows, and every change returns.
type State struct {
	Listen           string  `json:"listen"`
	To               string  `json:"to"`
	Cut              bool    `json:"cut"` // both ways
	CutUp            bool    `json:"cut_up"`
	CutDown          bool    `json:"cut_down"`
	BlockUDP         bool    `json:"block_udp"`
	DelayMS          int64   `json:"delay_ms"`
	JitterMS         int64   `json:"jitter_ms"`
	DropPercent      float64 `json:"drop_percent"`
	DuplicatePercent float64 `json:"duplicate_percent"`
	RateKbps         int64   `json:"rate_kbps"` // 0: unlimited
	Clients          int     `json:"clients"`
	TCPConnections   int     `json:"tcp_connections"`
	Queued           int     `json:"queued"`
	Up               Traffic `json:"up"`
	Down             Traffic `json:"down"`
}

// Traffic is one direction since the start.
type Traffic struct {
	Packets uint64            `json:"packets"` // forwarded
	Bytes   uint64            `json:"bytes"`
	Dropped map[string]uint64 `json:"dropped"` // by reason

	Duplicated uint64 `json:"duplicated"`
	TCPBytes   uint64 `json:"tcp_bytes"`
}

// State returns the relay's conditions and counters.
func (r *Relay) State() State {
	r.mu.Lock()
	c, clients, streams := r.conditions, len(r.clients), len(r.streams)
	r.mu.Unlock()
	return State{
		Listen: r.Addr().String(), To: r.to.String(),
		Cut: c.CutUp && c.CutDown, CutUp: c.CutUp, CutDown: c.CutDown, BlockUDP: c.BlockUDP,
		DelayMS: c.Delay.Milliseconds(), JitterMS: c.Jitter.Milliseconds(),
		DropPercent: c.Drop, DuplicatePercent: c.Duplicate, RateKbps: c.Kbps,
		Clients: clients, TCPConnections: streams, Queued: r.queue.len(),
		Up: r.traffic(Up), Down: r.traffic(Down),
	}
}

func (r *Relay) traffic(d Direction) Traffic {
	t := Traffic{Packets: r.count.packets[d].Load(), Bytes: r.count.bytes[d].Load(), Dropped: map[string]uint64{}, Duplicated: r.count.copies[d].Load(), TCPBytes: r.count.tcp[d].Load()}
	for reason := Passed + 1; reason < reasons; reason++ {
		t.Dropped[reason.String()] = r.count.dropped[d][reason].Load()
	}
	return t
}

// Handler is the control: GET /state, and POST /cut?direction=, /heal, /block,
// /unblock, /rebind, /delay?ms=&jitter=, /drop?percent=, /duplicate?percent= and
// /rate?kbps=, each of which answers with the new state. Input that it does not take is answered with 400 and one
// line that says what it wants, and changes nothing.
func (r *Relay) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, req *http.Request) {
		r.answer(w, req, func(*params) func(*Conditions) { return func(*Conditions) {} })
	})
	change := func(path string, read func(p *params) func(*Conditions)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, req *http.Request) { r.answer(w, req, read) })
	}
	change("/cut", func(p *params) func(*Conditions) {
		only := p.choice("direction", Up.String(), Down.String())
		return func(c *Conditions) { c.CutUp, c.CutDown = only != Down.String(), only != Up.String() }
	})
	change("/heal", func(*params) func(*Conditions) {
		return func(c *Conditions) { c.CutUp, c.CutDown = false, false }
	})
	change("/block", func(*params) func(*Conditions) { return func(c *Conditions) { c.BlockUDP = true } })
	change("/unblock", func(*params) func(*Conditions) { return func(c *Conditions) { c.BlockUDP = false } })
	change("/rebind", func(*params) func(*Conditions) {
		return func(*Conditions) { r.rebindLocked() }
	})
	change("/delay", func(p *params) func(*Conditions) {
		ms, jitter := p.integer("ms", maxDelayMS, true), p.integer("jitter", maxDelayMS, false)
		return func(c *Conditions) {
			c.Delay, c.Jitter = time.Duration(ms)*time.Millisecond, time.Duration(jitter)*time.Millisecond
		}
	})
	change("/drop", func(p *params) func(*Conditions) {
		percent := p.number("percent", 100)
		return func(c *Conditions) { c.Drop = percent }
	})
	change("/duplicate", func(p *params) func(*Conditions) {
		percent := p.number("percent", 100)
		return func(c *Conditions) { c.Duplicate = percent }
	})
	change("/rate", func(p *params) func(*Conditions) {
		kbps := p.integer("kbps", maxKbps, true)
		return func(c *Conditions) { c.Kbps = kbps }
	})
	return mux
}

// answer applies what read makes of the request's parameters.
func (r *Relay) answer(w http.ResponseWriter, req *http.Request, read func(*params) func(*Conditions)) {
	values, err := url.ParseQuery(req.URL.RawQuery)
	p := &params{values: values, err: err}
	edit := read(p)
	if err := p.finish(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Set(edit)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(r.State()); err != nil {
		r.log.Debug("control: answer", "err", err) // the client has left
	}
}

// params reads a query strictly and keeps the first fault.
type params struct {
	values url.Values
	known  []string
	err    error
}

func (p *params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *params) text(name string, required bool) (string, bool) {
	p.known = append(p.known, name)
	v, ok := p.values[name]
	switch {
	case len(v) > 1:
		p.fail("parameter %q is given %d times", name, len(v))
	case !ok && required:
		p.fail("parameter %q is missing", name)
	case ok:
		return v[0], true
	}
	return "", false
}

func (p *params) integer(name string, limit int64, required bool) int64 {
	s, ok := p.text(name, required)
	if !ok {
		return 0
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 || v > limit {
		p.fail("parameter %q: want an integer from 0 to %d, got %q", name, limit, s)
	}
	return v
}

func (p *params) number(name string, limit float64) float64 {
	s, ok := p.text(name, true)
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= limit) { // NaN too
		p.fail("parameter %q: want a number from 0 to %v, got %q", name, limit, s)
	}
	return v
}

// choice is "" for a parameter that is not given.
func (p *params) choice(name string, of ...string) string {
	s, ok := p.text(name, false)
	if ok && !slices.Contains(of, s) {
		p.fail("parameter %q: want %s, got %q", name, strings.Join(of, " or "), s)
	}
	return s
}

// finish also refuses what nobody asked for.
func (p *params) finish() error {
	for name := range p.values {
		if !slices.Contains(p.known, name) {
			want := "none"
			if len(p.known) > 0 {
				want = strings.Join(p.known, ", ")
			}
			p.fail("parameter %q is unknown, want %s", name, want)
		}
	}
	return p.err
}
