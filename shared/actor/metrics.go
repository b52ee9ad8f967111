package actor

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor/mailbox"
	"github.com/prometheus/client_golang/prometheus"
)

// drop is why an accepted message was never handled.
type drop uint8

const (
	dropFailure       drop = iota // its actor had failed, by a panic or otherwise
	dropStopped                   // it was put aside, or came after a pill, and its actor ended
	dropOldest                    // a newer one took its room
	dropNewest                    // there was no room
	dropTurn                      // its turn ended by a panic or at its limit
	dropSystemStopped             // the system's Stop ran out of time
	dropGroupStopped              // its group stopped
	dropLateReply                 // an answer that nobody waited for
	dropUnlocated                 // nobody knew which node has its actor
	dropStale                     // its actor was not where it was looked for, twice
	dropUnconfirmed               // the other node did not say what became of it
	dropFarFull                   // at the other node, its actor had no room
	dropFarStopped                // at the other node, its actor was stopping
	dropFarRefused                // the other node refused it
	dropActivation                // its actor could not be activated
	drops
)

// String is the reason as metrics show it.
func (d drop) String() string {
	return [drops]string{
		dropFailure:       "failure",
		dropStopped:       "stopped",
		dropOldest:        "overflow_oldest",
		dropNewest:        "overflow_newest",
		dropTurn:          "turn",
		dropSystemStopped: "system_stopped",
		dropGroupStopped:  "group_stopped",
		dropLateReply:     "late_reply",
		dropUnlocated:     "unlocated",
		dropStale:         "stale",
		dropUnconfirmed:   "unconfirmed",
		dropFarFull:       "far_full",
		dropFarStopped:    "far_stopped",
		dropFarRefused:    "far_refused",
		dropActivation:    "activation",
	}[d]
}

// refusal is why a message was given back to its sender.
type refusal uint8

const (
	refusedFull refusal = iota
	refusedStopped
	refusedOutside
	refusedLimit
	refusedReentrant
	refusedPipes
	refusedEvent       // its subscriber had no room
	refusedCodec       // it can't travel to another node
	refusedUnreachable // no node took it
	refusedID          // another actor has the ID
	refusedQuota       // of its type or its site
	refusalReasons
)

func (r refusal) String() string {
	return [refusalReasons]string{
		refusedFull:        "mailbox_full",
		refusedStopped:     "stopped",
		refusedOutside:     "outside_group",
		refusedLimit:       "turn_limit",
		refusedReentrant:   "reentrant",
		refusedPipes:       "pipes_full",
		refusedEvent:       "event",
		refusedCodec:       "codec",
		refusedUnreachable: "unreachable",
		refusedID:          "id_in_use",
		refusedQuota:       "limit",
	}[r]
}

// sampleChunks: of so many chunks one is stamped, so that reading the clock
// costs a message a fifth of a nanosecond.
const sampleChunks = 16

// stats are the counters of the actors of one type on one dispatcher.
type stats struct {
	dispatcher, typ string

	actors   atomic.Int64
	messages atomic.Uint64
	panics   atomic.Uint64
	refusals [refusalReasons]atomic.Uint64
	letters  [drops]atomic.Uint64

	restarts, escalations atomic.Uint64

	latency [mailbox.Lanes]histogram // sampled, microseconds
	depth   histogram                // sampled, messages
	high    atomic.Int32             // most messages that waited in one mailbox

	stays atomic.Pointer[stayStats] // of a registered type
}

// deep notes how many messages a turn found, and among the samples if it is
// one.
func (s *stats) deep(n int32, sampled bool) {
	for high := s.high.Load(); n > high; high = s.high.Load() {
		if s.high.CompareAndSwap(high, n) {
			break
		}
	}
	if sampled {
		s.depth.observe(uint64(n))
	}
}

func (s *stats) handled(n int) {
	if n > 0 {
		s.messages.Add(uint64(n))
	}
}

// dead counts n accepted messages that nobody will handle.
func (s *stats) dead(why drop, n int) { s.letters[why].Add(uint64(n)) }

// refused counts n messages that their sender got back with err.
func (s *stats) refused(err error, n int) {
	why := refusedUnreachable
	switch {
	case errors.Is(err, ErrMailboxFull):
		why = refusedFull
	case errors.Is(err, ErrStopped), errors.Is(err, ErrSystemStopped):
		why = refusedStopped
	case errors.Is(err, ErrOutsideGroup):
		why = refusedOutside
	case errors.Is(err, ErrTurnLimit):
		why = refusedLimit
	case errors.Is(err, ErrPipesFull):
		why = refusedPipes
	case errors.Is(err, ErrReentrant):
		why = refusedReentrant
	case errors.Is(err, ErrCodec), errors.Is(err, ErrNotOpen):
		why = refusedCodec
	case errors.Is(err, ErrIDInUse):
		why = refusedID
	case errors.Is(err, ErrLimit):
		why = refusedQuota
	}
	s.refusals[why].Add(uint64(n))
}

// sample notes how long the next message waited, where that was recorded: when
// its actor was queued for it, or when it began a chunk of the mailbox.
func (c *ContextOf[M]) sample() {
	since := c.batch.Since()
	if since == 0 {
		since = c.since
	}
	if since == 0 {
		return
	}
	c.since = 0
	k := c.cell.kind
	k.stats.latency[c.batch.Lane].observe(uint64(max(0, k.system.now()-since)) / 1000)
}

// metrics are the accounts of one system, by dispatcher and by type. Groups
// count under the dispatcher "group". It reads them when it is scraped, so that
// counting costs the actors little.
type metrics struct {
	system *ActorSystem

	mu    sync.Mutex
	known map[[2]string]*stats
	all   []*stats

	actors, messages, panics, refusals, letters, restarts, escalations, queues, stalls, alarms, piped, latency, depth, high *prometheus.Desc
	stays                                                                                                                   stayDescs
}

func newMetrics(s *ActorSystem) *metrics {
	by := []string{"dispatcher", "type"}
	byReason := []string{"dispatcher", "type", "reason"}
	desc := func(name, help string, labels []string) *prometheus.Desc {
		return prometheus.NewDesc("atrium_actor_"+name, help, labels, nil)
	}
	m := &metrics{
		system:      s,
		known:       make(map[[2]string]*stats),
		actors:      desc("actors", "Actors that live.", by),
		messages:    desc("messages_total", "Messages handled, the ones that panicked included.", by),
		panics:      desc("panics_total", "Panics in receivers and their hooks.", by),
		refusals:    desc("refusals_total", "Messages refused to their sender.", byReason),
		letters:     desc("dead_letters_total", "Messages accepted and never handled.", byReason),
		restarts:    desc("restarts_total", "Actors that were given a new receiver after a failure.", by),
		escalations: desc("escalations_total", "Failures that became the parent's own.", by),
		latency:     desc("latency_seconds", "From a message's acceptance to the beginning of its Receive, sampled.", []string{"dispatcher", "type", "lane"}),
		depth:       desc("mailbox_messages", "Messages that a turn found in its actor's mailbox, sampled.", by),
		high:        desc("mailbox_high_messages", "The most messages that a turn has found in one mailbox.", by),
		queues:      desc("run_queue_actors", "Actors that wait for a worker.", []string{"dispatcher"}),
		stalls:      desc("stalls_total", "Turns that held their worker too long, so that another took its place.", []string{"dispatcher"}),
		alarms:      desc("alarms", "Timers of actors, and restarts and sweeps that wait for their time.", nil),
		piped:       desc("pipes", "Functions of PipeTo that are under way.", nil),
		stays:       newStayDescs(),
	}
	if s.registerer != nil {
		s.registerer.MustRegister(m)
	}
	return m
}

// of returns the account of one dispatcher and type.
func (m *metrics) of(dispatcher, typ string) *stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{dispatcher, typ}
	s := m.known[key]
	if s == nil {
		s = &stats{dispatcher: dispatcher, typ: typ}
		m.known[key] = s
		m.all = append(m.all, s)
	}
	return s
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.actors, m.messages, m.panics, m.refusals, m.letters, m.restarts, m.escalations, m.queues, m.stalls, m.alarms, m.piped, m.latency, m.depth, m.high} {
		ch <- d
	}
	m.stays.describe(ch)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	m.mu.Lock()
	all := m.all[:len(m.all):len(m.all)]
	m.mu.Unlock()
	for _, s := range all {
		send(m.actors, prometheus.GaugeValue, float64(s.actors.Load()), s.dispatcher, s.typ)
		send(m.messages, prometheus.CounterValue, float64(s.messages.Load()), s.dispatcher, s.typ)
		send(m.panics, prometheus.CounterValue, float64(s.panics.Load()), s.dispatcher, s.typ)
		send(m.restarts, prometheus.CounterValue, float64(s.restarts.Load()), s.dispatcher, s.typ)
		send(m.escalations, prometheus.CounterValue, float64(s.escalations.Load()), s.dispatcher, s.typ)
		send(m.high, prometheus.GaugeValue, float64(s.high.Load()), s.dispatcher, s.typ)
		if h, some := s.depth.metric(m.depth, 1, s.dispatcher, s.typ); some {
			ch <- h
		}
		for lane := range s.latency {
			if h, some := s.latency[lane].metric(m.latency, 1e-6, s.dispatcher, s.typ, Lane(lane).String()); some {
				ch <- h
			}
		}
		for r := range s.refusals {
			send(m.refusals, prometheus.CounterValue, float64(s.refusals[r].Load()), s.dispatcher, s.typ, refusal(r).String())
		}
		for d := range s.letters {
			send(m.letters, prometheus.CounterValue, float64(s.letters[d].Load()), s.dispatcher, s.typ, drop(d).String())
		}
		if stays := s.stays.Load(); stays != nil {
			m.stays.collect(ch, s, stays)
		}
	}
	send(m.alarms, prometheus.GaugeValue, float64(m.system.clock.Len()))
	send(m.piped, prometheus.GaugeValue, float64(m.system.pipes.running()))
	m.system.eachDispatcher(func(d *dispatcher) {
		send(m.queues, prometheus.GaugeValue, float64(d.depth()), d.name)
		send(m.stalls, prometheus.CounterValue, float64(d.stalls.Load()), d.name)
	})
}
