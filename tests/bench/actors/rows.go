package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// peer is the best runtime known for a row, of those that were measured once
// together (goakt 4.4.3, hollywood 1.0.5, ergo 1.999, proto.actor 2024-08; two
// cores, Go 1.26.8). Only proto.actor is measured again here; what the others
// would do on this machine is their figure of then, scaled by what proto.actor
// does now against what it did then. The zero peer is none.
type peer struct {
	name        string
	then, proto float64 // of the peer and of proto.actor, in the figure's own unit
}

// row is one line of the table: one figure of one workload.
type row struct {
	title    string
	workload string
	figure   load.Figure
	unit     string
	per      float64 // one unit, in the figure's own
	ours     string  // a runtime; "" is atrium
	limit    string  // a runtime; "" is swap
	beside   string  // the workload of proto.actor, chan and mpsc; "" is the row's
	peer     peer
	typed    bool // also beside swap with message values

	less      bool    // the smaller figure is the better one
	bound     float64 // what ours has to be at least, or with less at most; in units
	ofPeer    float64 // how many times better than the best peer ours has to be
	ofLimit   float64 // what part of the limit's figure ours has to reach, or with less how many times it may be
	bounded   bool    // bound counts, which may be 0
	tolerance float64 // on bound, for a count that a run cannot make exact
}

const million = 1e6

// The peers of the rows, by workload. No peer sends in batches: those rows
// compare with its Tell.
var (
	tell1     = peer{"hollywood", 13.7e6, 12.2e6}
	tell1k    = peer{"proto.actor", 16.4e6, 16.4e6}
	tell100k  = peer{"goakt", 1.76e6, 0.93e6}
	ask1      = peer{"goakt", 0.95e6, 0.37e6}
	ask64     = peer{"goakt", 1.13e6, 0.48e6}
	broadcast = peer{"proto.actor", 5.5e6, 5.5e6}
	last99    = peer{"goakt", 571, 1457}
	pipeline  = peer{"proto.actor", 4.2e6, 4.2e6}
	idleHeap  = peer{"proto.actor", 844, 844}
	spawning  = peer{"proto.actor", 249e3, 249e3}
	gcMillis  = peer{"ergo", 1400, 1800}
)

// rows are the table, with its aims.
func rows() []row {
	return []row{
		{title: "Tell, 1 -> 1 actor", workload: "tell-1", figure: load.PerSecond, unit: "M/s", per: million, typed: true, peer: tell1, ofPeer: 1.5, ofLimit: 0.50},
		{title: "Tell, 2 -> 1,000", workload: "tell-1k", figure: load.PerSecond, unit: "M/s", per: million, typed: true, peer: tell1k, ofPeer: 1.1},
		{title: "TellBatch(64), 2 -> 1,000", workload: "batch-1k", beside: "tell-1k", figure: load.PerSecond, unit: "M/s", per: million, typed: true, peer: tell1k, ofPeer: 1.8},
		{title: "Tell, 2 -> 100,000", workload: "tell-100k", figure: load.PerSecond, unit: "M/s", per: million, typed: true, peer: tell100k, ofPeer: 4, ofLimit: 0.45},
		{title: "TellBatch(16), 2 -> 100,000", workload: "batch-100k", beside: "tell-100k", figure: load.PerSecond, unit: "M/s", per: million, typed: true, peer: tell100k, ofPeer: 10, ofLimit: 0.65},
		{title: "Ask, 1 asker", workload: "ask-1", figure: load.PerSecond, unit: "M/s", per: million, peer: ask1, ofPeer: 2},
		{title: "  p99", workload: "ask-1", figure: load.P99, unit: "us", per: 1, less: true, bounded: true, bound: 1.5},
		{title: "Ask, 64 askers", workload: "ask-64", figure: load.PerSecond, unit: "M/s", per: million, peer: ask64, ofPeer: 2.5},
		{title: "  p99", workload: "ask-64", figure: load.P99, unit: "us", per: 1, less: true, bounded: true, bound: 4},
		{title: "Ask, caller runs, 1 asker", workload: "ask-1", ours: "atrium-inline", limit: "swap-inline", figure: load.PerSecond, unit: "M/s", per: million, peer: ask1, ofPeer: 5, ofLimit: 0.50},
		{title: "Ask, caller runs, 64 askers", workload: "ask-64", ours: "atrium-inline", limit: "swap-inline", figure: load.PerSecond, unit: "M/s", per: million, peer: ask64, ofPeer: 5, ofLimit: 0.50},
		{title: "broadcast to 1,000", workload: "broadcast", figure: load.PerSecond, unit: "M/s", per: million, peer: broadcast, ofPeer: 2, ofLimit: 0.60},
		{title: "  last delivery p50", workload: "last-delivery", figure: load.P50, unit: "us", per: 1, less: true},
		{title: "  last delivery p99", workload: "last-delivery", figure: load.P99, unit: "us", per: 1, less: true, peer: last99, bounded: true, bound: 200},
		{title: "pipeline of three", workload: "pipeline", figure: load.PerSecond, unit: "M/s", per: million, peer: pipeline, ofPeer: 2.4, ofLimit: 0.55},
		{title: "idle actor, heap", workload: "idle", figure: load.HeapBytes, unit: "B", per: 1, less: true, peer: idleHeap, bounded: true, bound: 256, ofLimit: 1.35},
		{title: "  all of them, RSS", workload: "idle", figure: load.RSSMega, unit: "MB", per: 1, less: true, bounded: true, bound: 300},
		{title: "  spawned", workload: "idle", figure: load.PerSecond, unit: "M/s", per: million, peer: spawning, bounded: true, bound: 1},
		{title: "  full collection", workload: "idle", figure: load.GCMillis, unit: "ms", per: 1, less: true, peer: gcMillis, bounded: true, bound: 100},
		{title: "full mailbox: refusal", workload: "refuse", figure: load.RefusalNano, unit: "ns", per: 1, less: true, bounded: true, bound: 150},
		{title: "  RSS grows", workload: "refuse", figure: load.RSSGrowth, unit: "MiB", per: 1, less: true, bounded: true, bound: 5},
		{title: "  a waiting sender, cores", workload: "wait", figure: load.Cores, unit: "", per: 1, less: true, bounded: true, bound: 0.1},
		{title: "allocations a Tell", workload: "tell-and-wait", figure: load.Allocations, unit: "", per: 1, less: true, bounded: true, tolerance: 0.005},
		{title: "allocations an Ask", workload: "ask-1", figure: load.Allocations, unit: "", per: 1, less: true, bounded: true, tolerance: 0.005},
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// The programs that a row compares.
func (r row) program() string       { return or(r.ours, "atrium") + "/" + r.workload }
func (r row) limitProgram() string  { return or(r.limit, "swap") + "/" + r.workload }
func (r row) typedProgram() string  { return "swap-typed/" + r.workload }
func (r row) of(name string) string { return name + "/" + or(r.beside, r.workload) }

// protos are proto.actor's two kinds of mailbox: the better one counts.
var protos = []string{"proto", "proto-lockfree"}

// others are the references that are no limit.
var others = []string{"chan", "mpsc"}

// plan is what to measure, workload by workload, so that what is compared is
// measured one after the other.
func plan(o options) []string {
	var all []string
	add := func(program string) {
		if !slices.Contains(all, program) && (o.proto || !strings.HasPrefix(program, "proto")) {
			all = append(all, program)
		}
	}
	for _, r := range rows() {
		if !o.wants(r.workload) {
			continue
		}
		add(r.program())
		add(r.limitProgram())
		for _, name := range slices.Concat(protos, others) {
			add(r.of(name))
		}
		if r.typed {
			add(r.typedProgram())
		}
	}
	for _, m := range missionRows() {
		if o.wants(m.workload()) {
			add(m.program)
		}
	}
	return all
}

func (o options) wants(workload string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, workload)
}

// workloads are the names that -only takes.
func workloads() []string {
	var all []string
	for _, r := range rows() {
		if !slices.Contains(all, r.workload) {
			all = append(all, r.workload)
		}
	}
	for _, m := range missionRows() {
		if !slices.Contains(all, m.workload()) {
			all = append(all, m.workload())
		}
	}
	return all
}

func known(only []string) error {
	for _, w := range only {
		if !slices.Contains(workloads(), w) {
			return fmt.Errorf("-only %s: want some of %s", w, strings.Join(workloads(), ","))
		}
	}
	return nil
}
